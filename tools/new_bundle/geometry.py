"""nnU-Net's rules for the voxel size, the patch and the strides (Isensee et al., Nature Methods 18, 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from scripts.geometry import nearest_multiple
from scripts.networks.nnformer.geometry import triples

ANISOTROPY = 3.0  # a spacing is coarse that exceeds the others by more
MIN_EDGE = 4  # voxels of the coarsest feature map
START_MM3 = 256**3  # of the largest patch, were voxels 1 mm


def target_spacing(spacings: np.ndarray, shapes: np.ndarray) -> list[float]:
    """Return the median spacing; along an axis of thick slices the 10th percentile.

    Args:
        spacings: (N, 3) in mm.
        shapes: (N, 3) in voxels.

    Returns:
        Spacing per axis in mm.
    """
    target, size = np.median(spacings, axis=0), np.median(shapes, axis=0)
    worst = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != worst]
    finest_is_coarse = target[worst] > ANISOTROPY * target[others].max()
    if finest_is_coarse and size[worst] * ANISOTROPY < size[others].min():
        target[worst] = max(np.percentile(spacings[:, worst], 10), target[others].max())
    return [float(f"{value:.4g}") for value in target]


def median_shape(spacings: np.ndarray, shapes: np.ndarray, target: Sequence[float]) -> list[int]:
    """Return the median size in voxels after resampling to the spacing `target` in mm."""
    return [int(n) for n in np.median(np.round(shapes * spacings / np.asarray(target)), axis=0)]


def start_patch(spacing: Sequence[float], shape: Sequence[int]) -> list[int]:
    """Return the largest patch worth trying: as long in mm along every axis, but no longer than the median image."""
    steps = 1 / np.asarray(spacing)
    sides = np.round(steps * (START_MM3 / steps.prod()) ** (1 / 3)).astype(int)
    return [max(1, min(int(side), n)) for side, n in zip(sides, shape, strict=True)]


def strides_of(patch: Sequence[int], spacing: Sequence[float], max_stages: int) -> list[list[int]]:
    """Return the strides of an encoder's stages: finer axes are halved first, none below `MIN_EDGE`.

    Args:
        patch: in voxels.
        spacing: in mm.
        max_stages: of the encoder.

    Returns:
        One stride per axis for each stage, the first is 1.
    """
    size, step, strides = list(patch), list(spacing), [[1, 1, 1]]
    while len(strides) < max_stages:
        long = [axis for axis in range(3) if size[axis] >= 2 * MIN_EDGE]
        fine = [axis for axis in long if step[axis] < 2 * min(step[other] for other in long)]
        if not fine or (len(fine) == 1 and size[fine[0]] < 3 * MIN_EDGE):
            break
        strides.append([2 if axis in fine else 1 for axis in range(3)])
        size = [-(-n // s) for n, s in zip(size, strides[-1], strict=True)]
        step = [mm * s for mm, s in zip(step, strides[-1], strict=True)]
    return strides


def unit_of(strides: Sequence[int | Sequence[int]]) -> list[int]:
    """Return the voxels per axis that a patch must be a multiple of; a stride is a number for all axes, or three."""
    return [math.prod(axis) for axis in zip(*triples(strides), strict=True)]


def shrinking(
    patch: Sequence[int], shape: Sequence[int], spacing: Sequence[float], max_stages: int
) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Yield ever smaller patches with their strides: each time the axis shrinks that covers most of the image.

    Args:
        patch: the largest, in voxels.
        shape: median size of the images in voxels.
        spacing: in mm.
        max_stages: of the encoder.

    Yields:
        A patch, a multiple of what its strides ask for, and the strides.
    """
    size = list(patch)
    while True:
        strides = strides_of(size, spacing, max_stages)
        unit = unit_of(strides)
        fitting = [-(-n // u) * u for n, u in zip(size, unit, strict=True)]
        yield fitting, strides
        axes = [axis for axis in range(3) if fitting[axis] - unit[axis] >= 2 * MIN_EDGE]
        if not axes:
            return
        widest = max(axes, key=lambda axis: fitting[axis] / shape[axis])
        size = [n - unit[axis] if axis == widest else n for axis, n in enumerate(fitting)]


def shrinking_by(unit: Sequence[int], patch: Sequence[int]) -> Iterator[list[int]]:
    """Yield ever smaller patches for a network that asks for multiples of `unit`, the longest axis first."""
    size = nearest_multiple(patch, unit)
    while True:
        yield list(size)
        axes = [axis for axis in range(3) if size[axis] > unit[axis]]
        if not axes:
            return
        longest = max(axes, key=lambda axis: size[axis])
        size[longest] -= unit[longest]
