from __future__ import annotations

import numpy as np
import pytest

from tools.prepare.contours import contour_between, even_contour, fill_contour

L_SHAPE = np.array([(2.5, 3.5), (20.5, 3.5), (20.5, 9.5), (8.5, 9.5), (8.5, 25.5), (2.5, 25.5)])


def circle(middle, radius, count=60, start=0.0):
    angles = start + np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.array(middle) + radius * np.stack([np.cos(angles), np.sin(angles)], -1)


def shoelace(points):
    x, y = points.T
    return abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


def test_pixels_of_a_polygon_are_its_area_and_lie_in_it():
    filled = fill_contour(L_SHAPE, (28, 30))
    truth = np.zeros((28, 30), bool)
    truth[3:21, 4:10] = truth[3:9, 4:26] = True
    assert np.array_equal(filled, truth) and filled.sum() == shoelace(L_SHAPE) == 18 * 6 + 6 * 16


@pytest.mark.parametrize("radius", [3.3, 7.9, 12.2])
def test_area_of_circles_anywhere(radius):
    rng = np.random.default_rng(0)
    areas = []
    for middle in rng.uniform(14, 18, (40, 2)):
        filled = fill_contour(circle(middle, radius, 200), (32, 32))
        far = np.linalg.norm(np.moveaxis(np.indices((32, 32)), 0, -1) - middle, axis=-1)
        assert not filled[far > radius].any() and filled[far < 0.999 * radius].all()
        areas.append(filled.sum())
    assert np.mean(areas) == pytest.approx(np.pi * radius**2, rel=0.02)


def test_a_contour_beyond_the_picture_is_cut():
    assert fill_contour(circle((0, 31), 5), (32, 32)).sum() == pytest.approx(np.pi * 25 / 4, rel=0.35)
    assert not fill_contour(circle((-20, 5), 5), (32, 32)).any()


def test_even_points_keep_area_and_start_where_it_was_not_drawn_from():
    reference = even_contour(circle((5, 6), 4, 720))
    for start, step in ((0.0, 1), (1.2, 1), (2.0, -1), (4.4, -1)):
        even = even_contour(circle((5, 6), 4, 720, start)[::step])
        assert np.linalg.norm(even - reference, axis=1).max() < 4 * 2 * np.pi / 128
        assert np.ptp(np.linalg.norm(np.roll(even, 1, axis=0) - even, axis=1)) < 1e-3
    assert shoelace(even_contour(L_SHAPE, 1000)) == pytest.approx(shoelace(L_SHAPE), rel=1e-2)


def test_half_way_between_two_circles_is_a_circle():
    first, second = even_contour(circle((5, 6), 3, 720)), even_contour(circle((9, 4), 5, 720, 2.1)[::-1])
    between = contour_between(first, second, 0.25)
    assert np.allclose(between.mean(axis=0), (6, 5.5), atol=0.02)
    assert np.allclose(np.linalg.norm(between - (6, 5.5), axis=1), 3.5, atol=0.1)
