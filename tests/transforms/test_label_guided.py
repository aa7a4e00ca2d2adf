import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, CropForegroundd, EnsureChannelFirstd, LoadImaged, Orientationd

from scripts.data import RandomBox
from scripts.data.reading import read_scan
from scripts.transforms import LabelGuidedVoxelsd, Resampled, is_nonzero


def scan(tmp_path, label, outside=0.0):
    """An image whose every voxel tells its place by its value, its label, and a grid that is neither RAS nor 1 mm."""
    affine = np.array([[0, -1.5, 0, 30.0], [2.0, 0, 0, -5.0], [0, 0, -1.0, 9.0], [0, 0, 0, 1]])
    image = np.where(np.indices(label.shape).min(axis=0) > 1, 1.0 + np.arange(label.size).reshape(label.shape), outside)
    for name, volume in (("image", image), ("label", label)):
        nib.save(nib.Nifti1Image(volume.astype(np.float32), affine), tmp_path / f"{name}.nii.gz")
    return {name: str(tmp_path / f"{name}.nii.gz") for name in ("image", "label")}


def load(*more):
    steps = [
        LoadImaged("image"),
        EnsureChannelFirstd("image"),
        Orientationd("image", axcodes="RAS", labels=None),
        CropForegroundd("image", source_key="image", select_fn=is_nonzero),
    ]
    return Compose([*steps, *more])


@pytest.fixture
def label():
    label = np.zeros((20, 24, 18), np.uint8)
    label[9:12, 5:20, 4:7], label[15, 15, 15] = 3, 1
    return label


def test_one_row_lies_in_the_labels_and_one_outside_on_the_image(tmp_path, label):
    case = scan(tmp_path, label)
    item = load(LabelGuidedVoxelsd("image", count=500))(dict(case))
    assert item["foreground"].shape == (2, 500, 3) and "label" not in item
    found = [item["image"][0][tuple(row.long().T)].numpy() for row in item["foreground"]]
    assert all((values > 0).all() for values in found)
    inside, outside = (label.ravel()[values.astype(int) - 1] for values in found)
    assert (inside > 0).all() and (outside == 0).all()
    # every labelled voxel as likely, whatever its class: all 136 are there
    assert len(np.unique(found[0])) == (label > 0).sum() and len(np.unique(found[1])) > 400


def test_boxes_are_centred_half_and_half_as_monai_does(tmp_path, label):
    case = scan(tmp_path, label)
    prepared = load(LabelGuidedVoxelsd("image"))(dict(case))
    item = {"image": prepared["image"].as_tensor(), "foreground": prepared["foreground"]}
    box = RandomBox((3, 3, 3), foreground=1.0)
    centres = np.array([float(box(item, seed, seek=True)["image"][0, 1, 1, 1]) for seed in range(800)]).astype(int)
    share = (label.ravel()[centres - 1] > 0).mean()
    assert 0.45 < share < 0.55


def test_places_fit_after_resampling(tmp_path, label):
    case = scan(tmp_path, label)
    item = load(Resampled("image", spacing=(1.0, 1.0, 1.0)), LabelGuidedVoxelsd("image", count=300))(dict(case))
    reference = read_scan(case["label"])
    to_world = np.asarray(item["image"].affine)
    for row, wanted in zip(item["foreground"], (True, False), strict=True):
        world = row.numpy() @ to_world[:3, :3].T + to_world[:3, 3]
        back = np.linalg.inv(np.asarray(reference.affine))
        voxels = np.rint(world @ back[:3, :3].T + back[:3, 3]).astype(int)
        assert ((reference[0].numpy()[tuple(voxels.T)] > 0) == wanted).mean() > 0.97  # half a voxel at the borders


@pytest.mark.parametrize(("value", "rows"), [(0, 1), (1, 1)])
def test_of_an_empty_or_a_full_label_one_row_is_left(tmp_path, value, rows):
    item = load(LabelGuidedVoxelsd("image", count=10))(dict(scan(tmp_path, np.full((8, 8, 8), value))))
    assert item["foreground"].shape == (rows, 10, 3) and torch.is_tensor(item["foreground"])
