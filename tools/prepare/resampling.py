"""Bring an image onto the grid of another by what their headers say."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to

from .nifti import make_nifti


def resample_linearly(image: nib.Nifti1Image, grid: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return an image on another's grid, linearly interpolated, 0 outside of its own field of view."""
    voxels = np.asanyarray(image.dataobj).astype(np.float32)
    moved = resample_from_to(nib.Nifti1Image(voxels, image.affine), (grid.shape, grid.affine), order=1, cval=0.0)
    return make_nifti(np.asanyarray(moved.dataobj), grid.affine)


def covered(image: nib.Nifti1Image, grid: nib.Nifti1Image) -> np.ndarray:
    """Tell which voxels of a grid lie in an image's field of view.

    Returns:
        Boolean array of the grid's shape.
    """
    to_image = np.linalg.inv(image.affine) @ grid.affine
    inside = np.ones(grid.shape, bool)
    axes = [np.arange(n).reshape([-1 if axis == k else 1 for k in range(3)]) for axis, n in enumerate(grid.shape)]
    for axis, size in enumerate(image.shape):
        place = sum(to_image[axis, k] * axes[k] for k in range(3)) + to_image[axis, 3]
        inside &= (place >= -0.5) & (place <= size - 0.5)
    return inside
