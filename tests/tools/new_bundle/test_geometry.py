import numpy as np
import pytest

from tools.new_bundle.geometry import (
    median_shape,
    shrinking,
    shrinking_by,
    start_patch,
    strides_of,
    target_spacing,
    unit_of,
)


def repeated(spacing, shape, count=9):
    return np.tile(np.array(spacing, float), (count, 1)), np.tile(np.array(shape), (count, 1))


def test_the_spacing_is_the_median_and_of_thick_slices_the_tenth_percentile():
    spacings, shapes = repeated((0.8, 0.8, 1.0), (200, 200, 150))
    assert target_spacing(spacings, shapes) == [0.8, 0.8, 1.0]
    spacings, shapes = repeated((0.8, 0.8, 5.0), (512, 512, 40))
    spacings[:, 2] = np.linspace(2, 10, 9)
    assert target_spacing(spacings, shapes) == [0.8, 0.8, pytest.approx(np.percentile(spacings[:, 2], 10))]
    # many slices are no anisotropy of voxels
    assert target_spacing(spacings, shapes * [1, 1, 10]) == [0.8, 0.8, 6.0]


def test_the_tenth_percentile_is_never_finer_than_the_other_axes():
    spacings, shapes = repeated((0.8, 0.8, 5.0), (512, 512, 40))
    spacings[:4, 2] = 0.2
    assert target_spacing(spacings, shapes) == [0.8, 0.8, 0.8]


def test_shapes_are_counted_at_the_target():
    spacings, shapes = repeated((1.0, 2.0, 3.0), (10, 20, 30))
    assert median_shape(spacings, shapes, (2, 2, 2)) == [5, 20, 45]


def test_a_patch_is_equally_long_along_all_axes_but_inside_the_image():
    assert start_patch((1, 1, 1), (300, 300, 100)) == [256, 256, 100]
    mm = np.array(start_patch((0.5, 0.5, 4.0), (999, 999, 999))) * (0.5, 0.5, 4.0)
    assert mm.max() / mm.min() < 1.05


def test_strides_are_those_nnunet_plans():
    # nnU-Net's own plans: hippocampus, prostate in 0.62 x 0.62 x 3.6 mm, BTCV-like, here with at most six stages
    assert strides_of((40, 56, 40), (1, 1, 1), 6) == [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]]
    assert unit_of(strides_of((256, 320, 20), (0.62, 0.62, 3.6), 7)) == [64, 64, 4]
    assert strides_of((128, 128, 128), (1, 1, 1), 6) == [[1, 1, 1]] + 5 * [[2, 2, 2]]


@pytest.mark.parametrize("spacing, shape", [((1, 1, 1), (35, 50, 36)), ((0.8, 0.8, 5), (400, 400, 30))])
def test_patches_shrink_and_fit_their_strides(spacing, shape):
    found = list(shrinking(start_patch(spacing, shape), shape, spacing, 6))
    voxels = [np.prod(patch) for patch, _ in found]
    assert voxels == sorted(voxels, reverse=True) and len(found) > 3
    for patch, strides in found:
        assert all(side % unit == 0 for side, unit in zip(patch, unit_of(strides), strict=True))
        assert all(side // unit >= 2 for side, unit in zip(patch, unit_of(strides), strict=True))


def test_patches_of_a_fixed_network_shrink_to_one_unit():
    assert list(shrinking_by((16, 16, 16), (48, 32, 16))) == [[48, 32, 16], [32, 32, 16], [16, 32, 16], [16, 16, 16]]
