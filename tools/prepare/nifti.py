"""Volumes in the common form: NIfTI images in memory, of types that every reader knows."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from scripts.errors import InputError


def read_nifti(path: Path) -> nib.Nifti1Image:
    """Read a volume with its RAS affine in mm; axes of length one after the third are dropped.

    Args:
        path: .nii or .nii.gz.

    Returns:
        The image, its voxels in memory, of the types of `make_nifti`.

    Raises:
        InputError: the file is missing, truncated or no NIfTI image.
    """
    try:
        image = nib.Nifti1Image.from_filename(path, mmap=False)
        voxels = np.asanyarray(image.dataobj)
    except Exception as error:  # nibabel and the decompressors raise whatever they like
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"{path.name} cannot be read ({reason}): download it again") from error
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    return make_nifti(voxels, image.affine)


def make_nifti(voxels: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    """Return an image of native byte order: float32, or whole numbers of at most 32 bits.

    Args:
        voxels: (D, H, W), or with channels last.
        affine: RAS, in mm.

    Returns:
        The image.
    """
    kind = voxels.dtype.newbyteorder("=")
    if kind.kind == "f":
        kind = np.dtype(np.float32)
    elif kind.kind == "b" or kind.itemsize > 4:
        kind = np.dtype(np.uint8 if kind.kind == "b" else np.int32)
    image = nib.Nifti1Image(voxels.astype(kind, copy=False), affine)
    image.header.set_xyzt_units("mm")
    return image
