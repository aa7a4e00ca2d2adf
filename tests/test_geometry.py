import numpy as np

from scripts.geometry import corner_shift, is_multiple, is_one_grid, nearest_multiple


def test_nearest_multiple_by_trying_all():
    for n in range(1, 100):
        for u in (1, 2, 3, 8, 16):
            best = min(range(u, 200, u), key=lambda m: (abs(m - n), -m))
            assert nearest_multiple([n], [u]) == [best]
            assert is_multiple([n], [u]) == (n in range(0, 200, u))


def test_shift_of_the_farthest_corner():
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    moved = affine + 0.15 * np.eye(4, k=3)
    assert np.isclose(corner_shift(affine, moved, (10, 10, 10)), 0.15)
    assert is_one_grid(affine, moved, (10, 10, 10))  # 0.2 mm is a tenth of a voxel
    stretched = np.diag([2.0, 2.0, 5.1, 1.0])
    assert np.isclose(corner_shift(affine, stretched, (10, 10, 11)), 1.0)
    assert not is_one_grid(affine, stretched, (10, 10, 11))
