import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from scripts.metrics import segmentation_scores, summary

LABELS = {"background": 0, "one": 1, "two": 2}


def blob(seed, size=(14, 12, 10)):
    """Return a smooth random mask of labels 1 and 2."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), 2)
    return torch.from_numpy(np.digitize(field, np.quantile(field, [0.6, 0.85])))


def surface(mask):
    """Return the voxels of a mask with a neighbour outside, or at the border of the image."""
    padded = np.pad(mask, 1)
    inner = padded.copy()
    for axis in range(3):
        for shift in (1, -1):
            inner &= np.roll(padded, shift, axis)
    return (padded & ~inner)[1:-1, 1:-1, 1:-1]


def plain_hd95(a, b, spacing):
    """Distances between all pairs of surface voxels, the 95th percentile of the nearest each way, the larger one."""
    points = [np.argwhere(surface(mask)) * np.asarray(spacing) for mask in (a, b)]
    pairs = np.linalg.norm(points[0][:, None] - points[1][None], axis=-1)
    by_transform = ndimage.distance_transform_edt(~surface(b), sampling=spacing)[surface(a)]
    assert np.allclose(np.sort(by_transform), np.sort(pairs.min(1)))
    return max(np.percentile(pairs.min(1), 95), np.percentile(pairs.min(0), 95))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 1.25, 3.0)])
@pytest.mark.parametrize("seed", range(3))
def test_dice_and_hausdorff_equal_plain_counting(seed, spacing):
    prediction, reference = blob(seed), blob(seed + 10)
    rows = segmentation_scores(prediction, reference, LABELS, spacing, 1.0)
    assert [row["class"] for row in rows] == ["one", "two"]
    for label, row in enumerate(rows, start=1):
        a, b = (prediction == label).numpy(), (reference == label).numpy()
        assert row["dsc"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()), rel=1e-6)
        assert row["hd95_mm"] == pytest.approx(plain_hd95(a, b, spacing), rel=1e-5)


def box(length, size=(20, 20, 20), label=1):
    mask = torch.zeros(36, 28, 28, dtype=torch.long)
    mask[4 : 4 + length, 4 : 4 + size[1], 4 : 4 + size[2]] = label
    return mask


def nsd(prediction, reference, spacing, tolerance):
    return segmentation_scores(prediction, reference, {"one": 1}, spacing, tolerance)[0]["nsd"]


def test_surface_dice_of_two_boxes_equals_geometry():
    # one face of the cube of 20 mm is 6 mm off: 5 of 6 faces of the one lie on the other, of the other all but the far
    # face and what of the sides is further than 1 mm beyond the cube; edges are bevelled by half a voxel
    cube, longer = 6 * 20**2, 2 * 20**2 + 4 * 20 * 26
    matched = 5 * 20**2 + 20**2 + 4 * 20 * (20 + 1)
    assert nsd(box(26), box(20), (1, 1, 1), 1.0) == pytest.approx(matched / (cube + longer), abs=0.04)


def test_surface_dice_knows_spacing_and_tolerance():
    assert nsd(box(20), box(20), (1, 2, 3), 0.5) == 1
    assert nsd(box(22), box(20), (0.5, 1, 1), 1.05) == 1  # two voxels are 1 mm
    assert nsd(box(22), box(20), (1, 1, 1), 1.05) < 0.9  # and 2 mm here
    assert nsd(box(22), box(20), (1, 1, 1), 2.05) == 1


def test_rules_for_empty_masks():
    empty = torch.zeros(36, 28, 28, dtype=torch.long)
    diagonal = math.sqrt(36**2 + (2 * 28) ** 2 + (3 * 28) ** 2)
    for pair in ((box(20), empty), (empty, box(20))):
        one, two = segmentation_scores(*pair, LABELS, (1, 2, 3), 1.0)
        assert (one["dsc"], one["nsd"], one["hd95_mm"]) == (0, 0, pytest.approx(diagonal))
        assert all(math.isnan(two[metric]) for metric in ("dsc", "nsd", "hd95_mm"))


def test_summary_equals_numpy():
    rng = np.random.default_rng(0)
    rows = [
        {"case": case, "class": name, **{metric: float(rng.random()) for metric in ("dsc", "nsd", "hd95_mm")}}
        for case in "abcd"
        for name in ("one", "two")
    ]
    rows[3]["dsc"] = math.nan  # class two of case b is absent
    table = np.array([[row["dsc"] for row in rows if row["class"] == name] for name in ("one", "two")])
    result = summary(rows)
    for values, name in ((table[0], "one"), (table[1], "two"), (np.nanmean(table, axis=0), "mean")):
        assert result[name]["dsc"]["mean"] == pytest.approx(np.nanmean(values))
        assert result[name]["dsc"]["sd"] == pytest.approx(np.nanstd(values, ddof=1))
        assert result[name]["dsc"]["n"] == np.isfinite(values).sum()
    absent = [{"case": "a", "class": "one", "dsc": math.nan, "nsd": math.nan, "hd95_mm": math.nan}]
    assert summary(absent)["mean"]["nsd"] == {"mean": None, "sd": None, "n": 0}
