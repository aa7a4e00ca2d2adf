"""Between ITK's images (LPS, axes reversed in memory) and the common form (NIfTI, RAS)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import nibabel as nib
import numpy as np

from scripts.errors import InputError

from .nifti import make_nifti

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk(path: Path) -> nib.Nifti1Image:
    """Read a volume of one channel in any of ITK's formats, such as NRRD or MetaImage.

    Args:
        path: file with data and header in one.

    Returns:
        The image in RAS, its voxels of the file's own type where NIfTI has it.

    Raises:
        InputError: the file cannot be read, or is no volume of one channel.
    """
    try:
        image = itk.imread(str(path))
    except Exception as error:  # ITK raises RuntimeError for most, but not all
        reason = " ".join(str(error).rpartition("ITK ERROR:")[2].split())[:160]
        raise InputError(f"{path.name} cannot be read ({reason}): download it again") from error
    if image.GetImageDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"{path.name} is no volume of one channel: export it again as a 3D image")
    return from_itk(image)


def from_itk(image: Any) -> nib.Nifti1Image:
    """Return a 3D ITK image in the common form."""
    affine = np.eye(4)
    affine[:3, :3] = itk.array_from_matrix(image.GetDirection()) * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return make_nifti(itk.array_from_image(image).T, LPS_TO_RAS @ affine)


def to_itk(image: nib.Nifti1Image) -> Any:
    """Return a volume of the common form as an ITK image of float32."""
    affine = LPS_TO_RAS @ image.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    copy = itk.image_from_array(np.ascontiguousarray(np.asanyarray(image.dataobj).T, np.float32))
    copy.SetSpacing(spacing.tolist())
    copy.SetDirection(itk.matrix_from_array(np.ascontiguousarray(affine[:3, :3] / spacing)))
    copy.SetOrigin(affine[:3, 3].tolist())
    return copy
