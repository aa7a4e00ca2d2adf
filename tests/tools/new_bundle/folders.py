"""Small labelled datasets in plain images/labels folders, healthy or spoiled in one way."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np

SIZE = (14, 12, 10)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def save(array, path, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def volume(number, ct=False):
    """An image and its label of two classes."""
    rng = np.random.default_rng(number)
    label = np.zeros(SIZE, np.uint8)
    label[3:7, 3:7, 2:6] = 1
    label[7:10, 5:9, 4:8] = 2
    image = rng.normal(100, 10, SIZE) + 40.0 * label
    if ct:
        image[0] = -1000
    return image.astype(np.float32), label


def write_plain(folder, num_cases=4, ct=False):
    for number in range(num_cases):
        image, label = volume(number, ct)
        save(image, folder / "images" / f"c{number}.nii.gz")
        save(label, folder / "labels" / f"c{number}.nii.gz")
    return folder


def write_nnunet(folder, num_cases=4):
    for number in range(num_cases):
        image, label = volume(number)
        save(image, folder / "imagesTr" / f"c{number}_0000.nii.gz")
        save(label, folder / "labelsTr" / f"c{number}.nii.gz")
    labels = {"background": 0, "one": 1, "two": 2}
    state(folder, {"channel_names": {"0": "MRI"}, "labels": labels, "file_ending": ".nii.gz"})
    return folder


def write_bids(folder, num_cases=4):
    for number in range(num_cases):
        image, label = volume(number)
        name = f"sub-{number:02d}/ses-1"
        for contrast in ("T1w", "FLAIR"):
            save(image, folder / name / "anat" / f"sub-{number:02d}_ses-1_{contrast}.nii.gz")
        save(label, folder / "derivatives" / name / f"sub-{number:02d}_ses-1_space-T1w_dseg.nii.gz")
    return folder


def state(folder, content):
    (folder / "dataset.json").write_text(json.dumps(content))


def image(folder, number=1):
    return folder / "images" / f"c{number}.nii.gz"


def label(folder, number=1):
    return folder / "labels" / f"c{number}.nii.gz"


def change(path: Path, function, affine=None):
    """Rewrite a file by its voxels."""
    file = nib.load(path)
    array = np.asarray(file.dataobj).copy()
    nib.save(nib.Nifti1Image(function(array), file.affine if affine is None else affine), path)


def with_value(array, value):
    array[4, 4, 3] = value
    return array


def sheared():
    affine = AFFINE.copy()
    affine[0, 2] = 0.8
    return affine


def shear(folder):
    for path in (image(folder), label(folder)):
        change(path, lambda a: a, sheared())


def renumber(folder):
    for number in range(4):
        change(label(folder, number), lambda a: np.where(a == 2, 5, a).astype(np.uint8))


def empty_all(folder):
    for number in range(4):
        change(label(folder, number), np.zeros_like)


def in_two_lists(folder):
    (folder / "split.json").write_text(json.dumps({"train": ["c0", "c1", "c2"], "test": ["c1", "c3"]}))


def in_two_folds(folder):
    folds = [{"train": ["c0", "c2"], "val": ["c1"]}, {"train": ["c0", "c1"], "val": ["c1"]}]
    (folder / "splits_final.json").write_text(json.dumps(folds))


def in_test_folder(folder):
    (folder / "imagesTs").mkdir()
    shutil.copy(folder / "imagesTr/c1_0000.nii.gz", folder / "imagesTs/c1_0000.nii.gz")


def stated_labels(**labels):
    content = {"channel_names": {"0": "MRI"}, "labels": labels, "file_ending": ".nii.gz"}
    return lambda folder: state(folder, content)


def cut_channel(folder):
    content = json.loads((folder / "dataset.json").read_text())
    state(folder, {**content, "channel_names": {"0": "T1", "1": "T2"}})


# name: (how the healthy folder is written, how it is spoiled, the case at fault, the kind of fault)
SPOILED = {
    "label missing": (write_plain, lambda f: label(f).unlink(), "c1", "missing partner"),
    "image missing": (write_plain, lambda f: image(f).unlink(), "c1", "missing partner"),
    "channel missing": (write_nnunet, cut_channel, "c1", "missing partner"),
    "BIDS mask missing": (
        write_bids,
        lambda f: next(f.rglob("sub-01*dseg*")).unlink(),
        "sub-01_ses-1",
        "missing partner",
    ),
    "truncated file": (write_plain, lambda f: image(f).write_bytes(image(f).read_bytes()[:200]), "c1", "unreadable"),
    "other shape": (write_plain, lambda f: change(label(f), lambda a: a[1:]), "c1", "shape"),
    "shifted label": (
        write_plain,
        lambda f: change(label(f), lambda a: a, AFFINE + 3 * np.eye(4, k=3)),
        "c1",
        "affine",
    ),
    "flipped label": (write_plain, lambda f: change(label(f), lambda a: a, AFFINE * [-1, 1, 1, 1]), "c1", "affine"),
    "tilted gantry": (write_plain, shear, "c1", "oblique axes"),
    "4D image": (write_plain, lambda f: change(image(f), lambda a: np.stack([a, a], -1)), "c1", "not 3D"),
    "4D label": (write_plain, lambda f: change(label(f), lambda a: np.stack([a, a], -1)), "c1", "not 3D"),
    "2D": (write_plain, lambda f: [change(p, lambda a: a[..., 0]) for p in (image(f), label(f))], "c1", "not 3D"),
    "NaN": (write_plain, lambda f: change(image(f), lambda a: with_value(a, np.nan)), "c1", "not finite"),
    "infinite": (write_plain, lambda f: change(image(f), lambda a: with_value(a, np.inf)), "c1", "not finite"),
    "ids with gaps": (write_plain, renumber, "(all)", "label ids"),
    "negative id": (write_plain, lambda f: change(label(f), lambda a: a.astype(np.int16) - 1), "(all)", "label ids"),
    "id not stated": (write_nnunet, stated_labels(background=0, one=1), "c1", "label ids"),
    "stated with gaps": (write_nnunet, stated_labels(background=0, one=1, two=2, five=5), "(all)", "label ids"),
    "class never there": (write_nnunet, stated_labels(background=0, one=1, two=2, three=3), "(all)", "absent class"),
    "interpolated label": (
        write_plain,
        lambda f: change(label(f), lambda a: with_value(a.astype(np.float32), 0.5)),
        "c1",
        "fractional label",
    ),
    "float label": (write_plain, lambda f: change(label(f), lambda a: a.astype(np.float32)), "c1", "float label"),
    "empty label": (write_plain, lambda f: change(label(f), np.zeros_like), "c1", "empty label"),
    "nothing labelled": (write_plain, empty_all, "(all)", "no foreground"),
    "copy": (write_plain, lambda f: change(image(f), lambda a: volume(0)[0]), "c1", "duplicate"),
    "CT among MRI": (write_plain, lambda f: change(image(f), lambda a: a - 1500), "c1", "mixed modalities"),
    "train and test": (write_plain, in_two_lists, "c1", "two splits"),
    "train and val": (write_plain, in_two_folds, "c1", "two splits"),
    "imagesTr and imagesTs": (write_nnunet, in_test_folder, "c1", "two splits"),
}
