"""The segmentation bundles on the few real scans there may be: that the road runs, not how well it segments.

The labels there are numbered otherwise than the bundles': organs as in TotalSegmentator, tumours as in BraTS.
"""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from tools.new_bundle.__main__ import main as new_bundle

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


@pytest.mark.parametrize(
    ("bundle", "data"), [("btcv_segmentation", "abdomen"), ("msd_braintumour_segmentation", "glioma")]
)
def test_train_evaluate_and_segment_the_whole_scan(run_bundle, request, card, tmp_path, bundle, data):
    dataset_dir, scan = request.getfixturevalue(data)
    knobs = {"ckpt_dir": tmp_path / "models", "patch_size": "[48,48,48]"}
    run_bundle(bundle, ["train", "tiny"], dataset_dir=dataset_dir, output_dir=tmp_path / "out", **knobs)
    run_bundle(bundle, ["train", "evaluate", "tiny"], dataset_dir=dataset_dir, output_dir=tmp_path / "scores", **knobs)
    run_bundle(bundle, ["inference", "tiny"], dataset_dir=scan, output_dir=tmp_path / "masks", **knobs)
    dataset = card(bundle)["dataset"]
    classes = dataset.get("regions") or dataset["labels"].keys() - {"background"}
    summary = json.loads((tmp_path / "scores" / "metrics.json").read_text())["summary"]
    assert summary.keys() == {*classes, "mean"} and summary["mean"]["dsc"]["n"] == 2
    source, written = nib.load(scan), nib.load(next((tmp_path / "masks").glob("*_seg.nii.gz")))
    assert written.shape == source.shape[:3] and np.allclose(written.affine, source.affine, atol=1e-4)
    values = np.unique(np.asarray(written.dataobj))
    assert set(values) <= set(dataset["labels"].values()) and len(values) > 1


@pytest.fixture
def plain_hippocampus(real_data, tmp_path):
    """Twelve cases of MSD Task04 in plain folders, without their dataset.json."""
    for kind, folder in (("images", "imagesTr"), ("labels", "labelsTr")):
        (tmp_path / "plain" / kind).mkdir(parents=True)
        for path in sorted((real_data / "Task04_Hippocampus" / "labelsTr").glob("[!.]*.nii.gz"))[:12]:
            source = real_data / "Task04_Hippocampus" / folder / path.name
            (tmp_path / "plain" / kind / path.name).symlink_to(source)
    return tmp_path / "plain", None, "MRI"


@pytest.fixture
def plain_abdomen(abdomen, tmp_path, card):
    """The slabs of the abdominal CT in plain folders; one of the organs is not in them."""
    for kind, folder in (("images", "imagesTr"), ("labels", "labelsTr")):
        (tmp_path / "plain" / kind).mkdir(parents=True)
        for path in sorted((abdomen[0] / folder).iterdir()):
            (tmp_path / "plain" / kind / path.name.replace("_0000", "")).symlink_to(path)
    return tmp_path / "plain", card("btcv_segmentation")["dataset"]["labels"], "CT"


@pytest.mark.parametrize("data", ["plain_hippocampus", "plain_abdomen"])
def test_a_new_bundle_for_plain_folders_trains_at_once(run_bundle, request, tmp_path, data):
    folder, labels, channel = request.getfixturevalue(data)
    new_bundle("organ", str(folder), memory="500MB", target=str(tmp_path / "bundles"), labels=labels)
    bundle = tmp_path / "bundles" / "organ"
    train = json.loads((bundle / "configs" / "train.json").read_text())
    assert train["labels"] == (labels or {"background": 0, "label 1": 1, "label 2": 2}) and train["channels"] == [
        channel
    ]
    short = {"max_epochs": 1, "steps_per_epoch": 3, "val_interval": 1, "num_workers": 0}
    run_bundle(bundle, ["train"], output_dir=tmp_path / "out", ckpt_dir=tmp_path / "models", **short)
    assert (tmp_path / "models" / "model_final.pt").is_file()
