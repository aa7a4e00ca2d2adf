"""Arithmetic of patch sizes and voxel grids."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from .errors import InputError

MAX_SHIFT_VOXELS = 0.1


def is_multiple(size: Sequence[int], unit: Sequence[int]) -> bool:
    """Tell whether every side of `size` is a multiple of that of `unit`."""
    return all(n % u == 0 for n, u in zip(size, unit, strict=True))


def nearest_multiple(size: Sequence[int], unit: Sequence[int]) -> list[int]:
    """Return the multiple of `unit` nearest to `size`, the larger one where two are equally near."""
    return [max(u, (2 * n + u) // (2 * u) * u) for n, u in zip(size, unit, strict=True)]


def check_axes(count: int, **axes: Any) -> None:
    """Refuse what is no list of different spatial axes.

    Args:
        count: of the axes that there are.
        axes: settings by name.

    Raises:
        InputError: naming the setting.
    """
    for name, value in axes.items():
        listed = isinstance(value, list | tuple) and all(isinstance(axis, int) and 0 <= axis < count for axis in value)
        if not listed or len(set(value)) < len(value):
            raise InputError(
                f"{name} is {value!r}: give a list of different axes from 0 to {count - 1}, or [] for none"
            )


def corner_shift(first: np.ndarray, second: np.ndarray, size: Sequence[int]) -> float:
    """Return how far, in mm, two RAS affines put the corners of a volume apart: the largest of the eight distances."""
    corners = np.array([[*corner, 1] for corner in product(*((0, n - 1) for n in size))])
    return float(np.linalg.norm(((first - second) @ corners.T)[:3], axis=0).max())


def is_one_grid(first: np.ndarray, second: np.ndarray, size: Sequence[int]) -> bool:
    """Tell whether two RAS affines in mm put a volume in the same place, up to a tenth of a voxel."""
    spacing = np.linalg.norm(first[:3, :3], axis=0)
    return corner_shift(first, second, size) <= MAX_SHIFT_VOXELS * float(spacing.min())
