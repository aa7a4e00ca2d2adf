"""Carry one mask for each structure onto the grid of another image, as one label map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import nibabel as nib
import numpy as np
from scipy.ndimage import affine_transform

from .nifti import make_nifti


@dataclass(frozen=True)
class Transfer:
    """What became of some masks.

    Attributes:
        label: label map on the grid.
        lost: values of which no voxel is left.
        cut: value to the share of the mask that lies beyond the grid, where there is any.
        overlap: number of the grid's voxels that several masks claimed.
    """

    label: nib.Nifti1Image
    lost: list[int]
    cut: dict[int, float]
    overlap: int


def crop_mask(mask: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return the part of a mask that is not 0 with a margin of a voxel, as 0 and 1: small, and in the same place."""
    inside = np.asanyarray(mask.dataobj) != 0
    parts, lows = [], []
    for axis in range(3):
        places = np.flatnonzero(inside.any(axis=tuple(k for k in range(3) if k != axis)))
        low, high = (int(places[0]), int(places[-1])) if len(places) else (0, 0)
        parts.append(slice(low, high + 1))
        lows.append(low - 1)
    affine = mask.affine @ nib.affines.from_matvec(np.eye(3), lows)
    return make_nifti(np.pad(inside[tuple(parts)], 1), affine)


def transfer_masks(masks: Mapping[int, nib.Nifti1Image], grid: nib.Nifti1Image) -> Transfer:
    """Interpolate every mask linearly and take where it is at least a half; of overlapping ones the smallest counts.

    Args:
        masks: label value to a mask of 0 and 1 from `crop_mask`, each on a grid of its own.
        grid: the image whose grid is wanted.

    Returns:
        The label map, and what was lost.
    """
    label = np.zeros(grid.shape, np.uint8)
    claims = np.zeros(grid.shape, np.uint8)
    lost, cut = [], {}
    for value in sorted(masks, key=lambda value: (-_volume(masks[value]), value)):  # the smaller is drawn over
        voxels = np.asanyarray(masks[value].dataobj)
        to_mask = np.linalg.inv(masks[value].affine) @ grid.affine
        target = _target(voxels.shape, to_mask, grid.shape)
        here = _interpolated(voxels, to_mask, target) >= 0.5
        label[target][here] = value
        claims[target] += here
        if not here.any():
            lost.append(value)
        if share := _share_beyond(voxels, np.linalg.inv(to_mask), grid.shape):
            cut[value] = share
    return Transfer(make_nifti(label, grid.affine), sorted(lost), cut, int((claims > 1).sum()))


def _volume(mask: nib.Nifti1Image) -> float:
    """Return the volume of a mask in mm3."""
    return float(np.count_nonzero(mask.dataobj) * abs(np.linalg.det(mask.affine[:3, :3])))


def _target(shape: tuple[int, ...], to_mask: np.ndarray, size: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the part of the grid in which a box of mask voxels lies."""
    corners = np.array([[*corner, 1] for corner in product(*((-1, n) for n in shape))]).T
    places = (np.linalg.inv(to_mask) @ corners)[:3]
    lows, highs = np.floor(places.min(axis=1)), np.ceil(places.max(axis=1)) + 1
    return tuple(
        slice(int(np.clip(low, 0, n)), int(np.clip(high, 0, n))) for low, high, n in zip(lows, highs, size, strict=True)
    )


def _interpolated(voxels: np.ndarray, to_mask: np.ndarray, target: tuple[slice, ...]) -> np.ndarray:
    shape = tuple(part.stop - part.start for part in target)
    if min(shape) == 0:
        return np.zeros(shape, np.float32)
    offset = to_mask[:3, :3] @ [part.start for part in target] + to_mask[:3, 3]
    return np.asarray(affine_transform(voxels.astype(np.float32), to_mask[:3, :3], offset, shape, order=1))


def _share_beyond(voxels: np.ndarray, to_grid: np.ndarray, size: tuple[int, ...]) -> float:
    places = np.argwhere(voxels) @ to_grid[:3, :3].T + to_grid[:3, 3]
    beyond = np.any((places < -0.5) | (places > np.array(size) - 0.5), axis=1)
    return float(beyond.mean()) if len(places) else 0.0
