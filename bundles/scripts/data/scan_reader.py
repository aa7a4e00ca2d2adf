"""MONAI's reader of NRRD, MetaImage and DICOM, with what it gets wrong or refuses in DICOM put right."""

from __future__ import annotations

import os
from typing import Any

import itk
import numpy as np
from monai.data import ITKReader
from monai.utils import ensure_tuple

from ..errors import InputError
from .dicom_files import is_dicom
from .dicom_stack import TOLERANCE_MM, frames_of, read_stack


class ScanReader(ITKReader):
    """Read as MONAI's `ITKReader`, but of DICOM only what is one regular volume, and the frames of a file by place.

    ITK itself stacks frames in the order of the file, evenly, whatever their positions, and of several series in a
    folder MONAI takes any one.

    Args:
        arguments: of `ITKReader`.
    """

    def read(self, data: Any, **kwargs: Any) -> Any:
        """Return the ITK image of a file or a folder of DICOM slices, or a list of those of several.

        Raises:
            InputError: what is DICOM is no regular volume (see `read_stack`), or compressed in a way not known here.
        """
        images = []
        for path in map(str, ensure_tuple(data)):
            if os.path.isdir(path) or is_dicom(path):
                images.append(_read_dicom(path))
            elif path.lower().endswith((".mha", ".mhd")):  # which ITK itself does not know in capitals
                images.append(super().read(path, imageio=itk.MetaImageIO.New(), **kwargs))
            else:
                images.append(super().read(path, **kwargs))
        return images if len(images) > 1 else images[0]


def _read_dicom(path: str) -> Any:
    headers = read_stack(path)
    files = [str(header.filename) for header in headers]
    try:
        if len(frames_of(headers[0])):
            return _read_frames(files[0])
        return itk.imread(files if len(files) > 1 else files[0], itk.F)  # each slice may have a slope of its own
    except Exception as error:
        syntax = headers[0].file_meta.get("TransferSyntaxUID")
        if syntax is None or not syntax.is_compressed:
            raise
        # pydicom's last line says which packages would decode it, ITK's nothing of use
        needs = str(error).rpartition(" - ")[2] if "missing dependencies" in str(error) else ""
        advice = f"{needs.replace('requires', 'install')}, or " if needs else ""
        raise InputError(
            f"{path} is compressed ({syntax.name}) and cannot be decoded here: {advice}store it uncompressed"
        ) from error


def _read_frames(file: str) -> Any:
    """Return a file of many frames as an ITK image, its slices along their normal."""
    import highdicom as hd  # seconds that others do without

    volume = hd.imread(file).get_volume(
        dtype=np.float32,
        apply_real_world_transform=False,  # as ITK, by rescale slope and intercept alone
        apply_presentation_lut=False,
        atol=2 * TOLERANCE_MM,
        perpendicular_tol=1.0,
    )
    affine = volume.affine[:, [2, 1, 0, 3]]  # its axes are slices, rows, columns
    image = itk.image_from_array(np.ascontiguousarray(volume.array))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(affine[:3, :3] / spacing)))
    image.SetOrigin(affine[:3, 3].tolist())
    return image
