"""Closed contours in the plane of a slice: evenly spaced points, contours between two, the pixels within."""

from __future__ import annotations

import numpy as np
from matplotlib.path import Path as Outline

POINTS = 128


def even_contour(points: np.ndarray, count: int = POINTS) -> np.ndarray:
    """Return a closed contour as evenly spaced points, anticlockwise from the one that lies most to +x of the middle.

    So the points of two contours that are alike belong to each other, as `contour_between` needs it.

    Args:
        points: (N, 2) in order, N at least 3, first and last not the same.
        count: number of points to return.

    Returns:
        (count, 2).
    """
    if _signed_area(points) < 0:
        points = points[::-1]
    closed = np.vstack([points, points[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    wanted = np.linspace(0, along[-1], count, endpoint=False)
    even = np.stack([np.interp(wanted, along, closed[:, axis]) for axis in range(2)], axis=1)
    spokes = even - even.mean(axis=0)
    return np.roll(even, -int(np.abs(np.arctan2(spokes[:, 1], spokes[:, 0])).argmin()), axis=0)


def contour_between(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """Return the contour at a share, 0 to 1, of the way from one to another, both from `even_contour`."""
    return (1 - share) * first + share * second


def fill_contour(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels whose centres lie within a contour; the centre of pixel (0, 0) is at (0, 0).

    Args:
        points: (N, 2).
        shape: number of pixels along both axes.

    Returns:
        Boolean array of that shape.
    """
    filled = np.zeros(shape, bool)
    low = np.clip(np.floor(points.min(axis=0)).astype(int), 0, shape)
    high = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, 0, shape)
    grid = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
    within = Outline(points).contains_points(grid.reshape(-1, 2)) if grid.size else np.zeros(0, bool)
    filled[low[0] : high[0], low[1] : high[1]] = within.reshape(grid.shape[:2])
    return filled


def _signed_area(points: np.ndarray) -> float:
    x, y = points.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)
