from itertools import product

import numpy as np
import pytest
import torch
from monai.transforms import SpatialCrop, SpatialPad

from scripts.data import RandomBox
from scripts.errors import InputError
from scripts.transforms import ForegroundVoxelsd


def case(*size):
    numbers = torch.arange(torch.Size(size).numel(), dtype=torch.float32).view(1, *size) + 1
    return {"case": "a", "image": numbers, "label": torch.zeros(1, *size)}


def test_a_box_is_drawn_anywhere_inside_each_place_as_likely():
    corners = [tuple(RandomBox((3, 4, 2))(case(5, 4, 3), seed)["image"][0, 0, 0].tolist()) for seed in range(600)]
    counts = [corners.count(corner) for corner in set(corners)]
    assert len(counts) == 3 * 1 * 2 and min(counts) > 70


@pytest.mark.parametrize("size", [(3, 9, 4), (8, 7, 9), (2, 2, 2)])
def test_short_axes_lie_amid_zeros_as_monai_pads_them(size):
    item, side = case(*size), (4, 6, 4)
    padded = SpatialPad(side)(item["image"])
    corners = product(*(range(n - k + 1) for n, k in zip(padded.shape[1:], side, strict=True)))
    allowed = {tuple(SpatialCrop(roi_start=c, roi_end=np.add(c, side))(padded).flatten().tolist()) for c in corners}
    assert {tuple(RandomBox(side)(item, seed)["image"].flatten().tolist()) for seed in range(30)} <= allowed


def test_image_and_label_get_the_same_box_and_all_else_stays():
    item = case(9, 9, 9)
    item |= {"label": item["image"].clone(), "image_affine": torch.eye(4)}
    crop = RandomBox((4, 4, 4))(item, 3)
    assert (
        torch.equal(crop["image"], crop["label"]) and crop["case"] == "a" and crop["image_affine"].equal(torch.eye(4))
    )


def test_a_share_of_boxes_is_centred_on_each_class_as_often():
    """Whatever the classes' sizes: 1 is a single voxel, 2 a slab."""
    item = case(30, 30, 30)
    item["label"][0, 15, 15, 15] = 1
    item["label"][0, :, 20:, :] = 2
    item = ForegroundVoxelsd("label")(item)
    crops = [RandomBox((5, 5, 5), foreground=0.6)(item, seed) for seed in range(1000)]
    centres = torch.stack([crop["label"][0, 2, 2, 2] for crop in crops])
    assert "foreground" not in crops[0]
    # class 1: half of 60 %; class 2: the same, and a third of the boxes placed anywhere
    assert 0.25 < (centres == 1).float().mean() < 0.35 and 0.36 < (centres == 2).float().mean() < 0.52


def test_boxes_at_the_rim_and_of_short_volumes_hold_their_voxel():
    item = case(9, 3, 9)
    item["label"][0, 0, 2, 8] = 1
    item = ForegroundVoxelsd("label")(item)
    for seed in range(20):
        crop = RandomBox((4, 5, 4), foreground=1.0)(item, seed)
        assert crop["label"].sum() == 1 and crop["image"].shape == (1, 4, 5, 4)


def test_without_foreground_boxes_lie_anywhere():
    item = ForegroundVoxelsd("label")(case(9, 9, 9))
    assert item["foreground"].shape == (0, 1000, 3)
    assert RandomBox((4, 4, 4), foreground=1.0)(item, 0)["image"].shape == (1, 4, 4, 4)


def test_mistakes_are_named():
    with pytest.raises(InputError, match="ForegroundVoxelsd"):
        RandomBox((4, 4, 4), foreground=1.0)(case(9, 9, 9), 0)
    with pytest.raises(InputError, match="from 0 to 1"):
        RandomBox((4, 4, 4), foreground=2)
