"""The segmentation bundles on the few real scans there may be: that the road runs, not how well it segments.

The labels there are numbered otherwise than the bundles': organs as in TotalSegmentator, tumours as in BraTS.
"""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from tools.new_bundle.__main__ import main as new_bundle
from tools.prepare.prepare import prepare

pytestmark = pytest.mark.slow

# TotalSegmentator to BTCV: spleen, kidneys, gallbladder, esophagus, liver, stomach, aorta, inferior vena cava,
# portal and splenic veins, pancreas, adrenal glands
ORGANS = {1: 1, 2: 2, 3: 3, 4: 4, 15: 5, 5: 6, 6: 7, 52: 8, 63: 9, 64: 10, 7: 11, 8: 12, 9: 13}
# BraTS to MSD: necrosis and non-enhancing tumour, edema, enhancing tumour
TUMOUR = {1: 2, 2: 1, 4: 3}
CONTRASTS = ("fla", "t1", "t1c", "t2")  # in the order of MSD


def renumbered(label, table):
    """Return a label map with the values of `table`, 0 for all others."""
    values = np.zeros(256, np.uint8)
    for old, new in table.items():
        values[old] = new
    return values[np.asarray(label.dataobj).astype(np.uint8)]


def write_case(folder, name, channels, label, box):
    """Write the part of a case within `box` in nnU-Net's layout, where it lies in the whole scan."""
    affine = channels[0].affine @ nib.affines.from_matvec(np.eye(3), [part.start or 0 for part in box])
    images = {f"imagesTr/{name}_{c:04d}.nii.gz": np.asarray(image.dataobj)[box] for c, image in enumerate(channels)}
    for path, voxels in {**images, f"labelsTr/{name}.nii.gz": label[box]}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(voxels, affine), folder / path)


def write_dataset_json(folder, labels, channels):
    content = {"labels": labels, "channel_names": channels, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content))


@pytest.fixture
def abdomen(real_data, tmp_path, card):
    """Slabs of one abdominal CT as cases, labelled like BTCV, and the whole scan."""
    image = nib.load(real_data / "abdomen_ct" / "example_ct.nii.gz")
    label = renumbered(nib.load(real_data / "abdomen_ct" / "example_seg_fast_force_split.nii.gz"), ORGANS)
    for number in range(8):
        write_case(tmp_path / "data", f"slab{number}", [image], label, np.s_[:, :, 12 * number : 12 * number + 24])
    dataset = card("btcv_segmentation")["dataset"]
    write_dataset_json(tmp_path / "data", dataset["labels"], dataset["channel_names"])
    return tmp_path / "data", real_data / "abdomen_ct" / "example_ct.nii.gz"


@pytest.fixture
def glioma(real_data, tmp_path, card):
    """Blocks of one patient's four contrasts as cases, labelled like MSD Task01, and the whole scan in 4D."""
    folder = real_data / "glioma_4mod" / "TCGA-FG-6692"
    images = [nib.load(folder / f"{contrast}.nii.gz") for contrast in CONTRASTS]
    label = renumbered(nib.load(folder / "seg.nii.gz"), TUMOUR)
    middle = [int(axis.mean()) for axis in np.nonzero(label)]
    for number in range(8):
        corner = [m - 56 + 48 * (number >> axis & 1) for axis, m in enumerate(middle)]
        box = tuple(slice(max(0, start), max(0, start) + 64) for start in corner)
        write_case(tmp_path / "data", f"block{number}", images, label, box)
    dataset = card("msd_braintumour_segmentation")["dataset"]
    write_dataset_json(tmp_path / "data", dataset["labels"], dataset["channel_names"])
    whole = nib.Nifti1Image(np.stack([np.asarray(image.dataobj) for image in images], axis=-1), images[0].affine)
    nib.save(whole, tmp_path / "whole.nii.gz")
    return tmp_path / "data", tmp_path / "whole.nii.gz"


# the CT has voxels of 3 mm, and at the spacing of the bundle eight times as many windows
@pytest.mark.parametrize(
    ("bundle", "data", "knobs"),
    [("btcv_segmentation", "abdomen", {"spacing": "[3,3,4]"}), ("msd_braintumour_segmentation", "glioma", {})],
)
def test_train_evaluate_and_segment_the_whole_scan(run_bundle, request, card, tmp_path, bundle, data, knobs):
    dataset_dir, scan = request.getfixturevalue(data)
    knobs = {"ckpt_dir": tmp_path / "models", "patch_size": "[48,48,48]"} | knobs
    cases = knobs | {"dataset_dir": dataset_dir, "validate__inferer__overlap": 0.25}  # less than half the windows
    run_bundle(bundle, ["train", "tiny"], output_dir=tmp_path / "out", max_epochs=1, **cases)
    run_bundle(bundle, ["train", "evaluate", "tiny"], output_dir=tmp_path / "scores", **cases)
    knobs |= {"dataset_dir": scan, "inferer__overlap": 0.25}
    run_bundle(bundle, ["inference", "tiny"], output_dir=tmp_path / "masks", **knobs)
    dataset = card(bundle)["dataset"]
    classes = dataset.get("regions") or dataset["labels"].keys() - {"background"}
    summary = json.loads((tmp_path / "scores" / "metrics.json").read_text())["summary"]
    assert summary.keys() == {*classes, "mean"} and summary["mean"]["dsc"]["n"] == 2
    source, written = nib.load(scan), nib.load(next((tmp_path / "masks").glob("*_seg.nii.gz")))
    assert written.shape == source.shape[:3] and np.allclose(written.affine, source.affine, atol=1e-4)
    values = np.unique(np.asarray(written.dataobj))
    assert set(values) <= set(dataset["labels"].values()) and len(values) > 1


def isles22(real_data, number):
    """One stroke patient under another number: paths in the release's layout, and the file that has the case's grid."""
    files = list((real_data / "isles22").rglob("*.nii.gz"))
    old, new = "strokecase0009", f"strokecase{number:04d}"
    paths = {str(path.relative_to(real_data / "isles22")).replace(old, new): path for path in files}
    return paths, next(path for path in files if path.name.endswith("_dwi.nii.gz"))


def ms_flair(real_data, number):
    """One of two patients under another number."""
    folder = real_data / "ms_flair" / ("patient07" if number % 2 else "patient19")
    return {f"patient{number:02d}/{name}.nii.gz": folder / f"{name}.nii.gz" for name in ("FLAIR", "lesion")}, (
        folder / "FLAIR.nii.gz"
    )


def brats_africa(real_data, number):
    """One glioma patient under another number, named as BraTS does; the labels are of its older numbering."""
    folder, name = real_data / "glioma_4mod" / "TCGA-FG-6692", f"BraTS-SSA-{number:05d}-000"
    roles = {"t1": "t1n", "t1c": "t1c", "t2": "t2w", "fla": "t2f", "seg": "seg"}
    return {f"{name}/{name}-{new}.nii.gz": folder / f"{old}.nii.gz" for old, new in roles.items()}, folder / "t1.nii.gz"


@pytest.mark.parametrize("layout", [isles22, ms_flair, brats_africa])
def test_a_release_is_prepared_trained_on_and_segmented_on_its_own_grid(run_bundle, real_data, tmp_path, layout):
    grids = {}
    for number in (1, 2, 3):
        paths, grid = layout(real_data, number)
        for path, source in paths.items():
            (tmp_path / "release" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "release" / path).symlink_to(source)
        grids[number] = nib.load(grid)
    prepare(layout.__name__, tmp_path / "release", tmp_path / "data")
    labels = sorted((tmp_path / "data" / "labelsTr").iterdir())
    for number, path in enumerate(labels, start=1):
        written = nib.load(path)
        assert written.shape == grids[number].shape and np.allclose(written.affine, grids[number].affine, atol=1e-4)
    first = labels[0].name.removesuffix(".nii.gz")
    (tmp_path / "scan").mkdir()
    for path in (tmp_path / "data" / "imagesTr").glob(f"{first}_*"):
        (tmp_path / "scan" / path.name).symlink_to(path)
    bundle, models = f"{layout.__name__}_segmentation", {"ckpt_dir": tmp_path / "models"}
    # windows for a whole head, of which those of the preset's size would be thousands
    short = {"dataset_dir": tmp_path / "data", "num_folds": 2, "max_epochs": 1, "steps_per_epoch": 2}
    short["validate__inferer__roi_size"] = "[96,96,96]"
    run_bundle(bundle, ["train", "tiny"], output_dir=tmp_path / "out", **models, **short)
    whole = {"dataset_dir": tmp_path / "scan", "inferer__roi_size": "[96,96,96]"}
    run_bundle(bundle, ["inference", "tiny"], output_dir=tmp_path / "masks", **models, **whole)
    found = nib.load(next((tmp_path / "masks").glob("*_seg.nii.gz")))
    assert found.shape == grids[1].shape and np.allclose(found.affine, grids[1].affine, atol=1e-4)


@pytest.fixture
def plain_hippocampus(real_data, tmp_path):
    """Twelve cases of MSD Task04 in plain folders, without their dataset.json."""
    for kind, folder in (("images", "imagesTr"), ("labels", "labelsTr")):
        (tmp_path / "plain" / kind).mkdir(parents=True)
        for path in sorted((real_data / "Task04_Hippocampus" / "labelsTr").glob("[!.]*.nii.gz"))[:12]:
            source = real_data / "Task04_Hippocampus" / folder / path.name
            (tmp_path / "plain" / kind / path.name).symlink_to(source)
    return tmp_path / "plain", {"background": 0, "label 1": 1, "label 2": 2}, "MRI"


@pytest.fixture
def plain_abdomen(abdomen, tmp_path):
    """The slabs of the abdominal CT in plain folders, their organs numbered without gaps, since the esophagus lacks."""
    for kind in ("images", "labels"):
        (tmp_path / "plain" / kind).mkdir(parents=True)
    for path in sorted((abdomen[0] / "labelsTr").iterdir()):
        label = nib.load(path)
        voxels = renumbered(label, {n: n - (n > 5) for n in range(1, 14)})
        nib.save(nib.Nifti1Image(voxels, label.affine), tmp_path / "plain" / "labels" / path.name)
        image = path.name.replace(".nii.gz", "_0000.nii.gz")
        (tmp_path / "plain" / "images" / path.name).symlink_to(abdomen[0] / "imagesTr" / image)
    return tmp_path / "plain", {"background": 0, **{f"label {n}": n for n in range(1, 13)}}, "CT"


@pytest.mark.parametrize("data", ["plain_hippocampus", "plain_abdomen"])
def test_a_new_bundle_for_plain_folders_trains_and_segments_at_once(run_bundle, request, tmp_path, data):
    folder, labels, channel = request.getfixturevalue(data)
    new_bundle("organ", str(folder), memory="500MB", target=str(tmp_path / "bundles"))
    bundle, models = tmp_path / "bundles" / "organ", {"ckpt_dir": tmp_path / "models"}
    train = json.loads((bundle / "configs" / "train.json").read_text())
    assert train["labels"] == labels and train["channels"] == [channel]
    short = {"max_epochs": 1, "steps_per_epoch": 3, "val_interval": 1, "num_workers": 0}
    run_bundle(bundle, ["train"], output_dir=tmp_path / "out", **models, **short)
    scan = min((folder / "images").iterdir())
    run_bundle(bundle, ["inference"], dataset_dir=scan, output_dir=tmp_path / "masks", **models)
    source, written = nib.load(scan), nib.load(next((tmp_path / "masks").glob("*_seg.nii.gz")))
    assert written.shape == source.shape and np.allclose(written.affine, source.affine, atol=1e-4)
