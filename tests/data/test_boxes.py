from itertools import product

import numpy as np
import pytest
import torch
from monai.transforms import CenterSpatialCrop, SpatialCrop, SpatialPad

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


def test_boxes_around_foreground_are_centred_on_each_class_as_often():
    """Whatever the classes' sizes: 1 is a single voxel, 2 a slab."""
    item = case(30, 30, 30)
    item["label"][0, 15, 15, 15] = 1
    item["label"][0, :, 20:, :] = 2
    item = ForegroundVoxelsd("label")(item)
    crops = [RandomBox((9, 9, 9), (5, 5, 5))(item, seed, seek=True) for seed in range(1000)]
    centres = torch.stack([CenterSpatialCrop((5, 5, 5))(crop["label"])[0, 2, 2, 2] for crop in crops])
    assert "foreground" not in crops[0]
    assert 0.45 < (centres == 1).float().mean() < 0.55
    rim = [crop for crop in crops if (crop["image"] == 0).any()]
    assert (centres == 0).sum() < len(rim)  # only a patch that would leave the volume lies beside its voxel


def test_patches_of_short_and_of_long_volumes_hold_their_voxel():
    item = case(9, 3, 9)
    item["label"][0, 0, 2, 8] = 1
    item = ForegroundVoxelsd("label")(item)
    for seed in range(20):
        crop = RandomBox((7, 6, 12), (4, 5, 4))(item, seed, seek=True)
        assert crop["image"].shape == (1, 7, 6, 12)
        assert CenterSpatialCrop((4, 5, 4))(crop["label"]).sum() == 1


def test_patches_reach_all_of_a_volume_that_is_shorter_than_the_box():
    seen = torch.zeros(1, 6, 4, 7)
    for seed in range(60):
        patch = CenterSpatialCrop((4, 4, 4))(RandomBox((8, 8, 8), (4, 4, 4))(case(6, 4, 7), seed)["image"])
        assert (patch > 0).all()  # the numbers of a case start at 1, so nothing of it is from outside
        seen.view(-1)[patch.long().flatten() - 1] = 1
    assert seen.all()


@pytest.mark.parametrize("share", [0.33, 0.5, 0.8, 1, 0])
def test_of_every_batch_as_many_seek_foreground_as_in_nnu_net_but_one_at_least(share):
    box = RandomBox((4, 4, 4), foreground=share)
    for size in range(1, 13):
        sought = sum(not number < round(size * (1 - share)) for number in range(size))  # nnU-Net's own words
        found = sum(box.seeks_foreground(position) for position in range(size))
        assert found == (max(1, sought) if share else 0)


def test_there_is_no_box_around_foreground_that_is_not_there():
    item = ForegroundVoxelsd("label")(case(9, 9, 9))
    assert item["foreground"].shape == (0, 1000, 3)
    assert RandomBox((4, 4, 4))(item, 0, seek=True) is None


def test_mistakes_are_named():
    with pytest.raises(InputError, match="ForegroundVoxelsd"):
        RandomBox((4, 4, 4))(case(9, 9, 9), 0, seek=True)
    with pytest.raises(InputError, match="from 0 to 1"):
        RandomBox((4, 4, 4), foreground=2)
    with pytest.raises(InputError, match="enlarge crop_size"):
        RandomBox((4, 4, 4), (4, 5, 4))
