from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from nibabel.processing import resample_from_to

from tests.releases.head import motion
from tools.prepare.mask_transfer import crop_mask, transfer_masks

GRID = nib.Nifti1Image(
    np.zeros((20, 22, 18), np.float32), motion((4, 8, -6), (-14.0, -15.0, -12.0)) @ np.diag([1.5, 1.4, 1.3, 1])
)
SOURCE = nib.affines.from_matvec(np.diag([-0.8, -0.9, 1.1]), [13.0, 14.0, -13.0])


def box(*sides, shape=(32, 30, 24)):
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(*side) for side in sides)] = 255
    return nib.Nifti1Image(mask, SOURCE)


def naive(mask):
    return (
        np.asarray(resample_from_to(nib.Nifti1Image((mask.dataobj[:] > 0) * 1.0, mask.affine), GRID, order=1).dataobj)
        >= 0.5
    )


def test_equals_resampling_the_whole_mask():
    mask = box((8, 20), (7, 19), (9, 17))
    result = transfer_masks({7: crop_mask(mask)}, GRID)
    assert np.array_equal(np.asarray(result.label.dataobj) == 7, naive(mask))
    assert naive(mask).sum() > 100
    assert (result.lost, result.cut, result.overlap) == ([], {}, 0)


def test_volume_and_centre_are_kept():
    mask = box((8, 20), (7, 19), (9, 17))
    label = np.asarray(transfer_masks({1: crop_mask(mask)}, GRID).label.dataobj)
    volume = label.sum() * abs(np.linalg.det(GRID.affine[:3, :3]))
    assert volume == pytest.approx(12 * 12 * 8 * 0.8 * 0.9 * 1.1, rel=0.05)
    centre = nib.affines.apply_affine(GRID.affine, np.argwhere(label).mean(axis=0))
    assert np.allclose(centre, nib.affines.apply_affine(SOURCE, [13.5, 12.5, 12.5]), atol=0.3)


def test_the_smallest_of_overlapping_masks_counts_whatever_its_number():
    large, small = box((6, 22), (6, 20), (8, 18)), box((11, 17), (10, 16), (10, 15))
    for values in ((1, 2), (2, 1)):
        result = transfer_masks({values[0]: crop_mask(large), values[1]: crop_mask(small)}, GRID)
        label = np.asarray(result.label.dataobj)
        assert np.array_equal(label == values[1], naive(small))
        assert np.array_equal(label == values[0], naive(large) & ~naive(small))
        assert result.overlap == naive(small).sum() > 20


def test_tells_what_is_lost_or_beyond_the_grid():
    tiny, outside = box((15, 16), (14, 15), (11, 12)), box((12, 16), (11, 15), (0, 24))
    empty = box((0, 0), (0, 0), (0, 0))
    result = transfer_masks({1: crop_mask(tiny), 2: crop_mask(outside), 3: crop_mask(empty)}, GRID)
    assert 3 in result.lost and 2 not in result.lost
    places = nib.affines.apply_affine(np.linalg.inv(GRID.affine) @ SOURCE, np.argwhere(outside.dataobj[:] > 0))
    beyond = ((places < -0.5) | (places > np.array(GRID.shape) - 0.5)).any(axis=1).mean()
    assert list(result.cut) == [2] and result.cut[2] == pytest.approx(beyond) and 0 < beyond < 1


def test_cropping_keeps_the_place():
    mask = box((0, 5), (7, 9), (20, 24))
    cropped = crop_mask(mask)
    assert cropped.shape == (7, 4, 6)
    before = nib.affines.apply_affine(mask.affine, np.argwhere(mask.dataobj[:] > 0))
    after = nib.affines.apply_affine(cropped.affine, np.argwhere(cropped.dataobj[:]))
    assert np.allclose(before, after, atol=1e-5)
