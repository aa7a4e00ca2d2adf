"""MONAI's readers as one, with what they get wrong or refuse in DICOM and in channel files put right."""

from __future__ import annotations

import os
from typing import Any

import itk
import nibabel as nib
import numpy as np
from monai.data import ITKReader, NibabelReader
from monai.data.utils import is_no_channel
from monai.utils import ensure_tuple

from ..errors import InputError
from ..geometry import corner_shift, is_one_grid
from .dicom_files import is_dicom
from .dicom_stack import TOLERANCE_MM, frames_of, read_stack


class ScanReader(ITKReader):
    """Read NIfTI as MONAI's `NibabelReader`, all else as its `ITKReader`, but DICOM and channel files by own rules.

    Of DICOM only what is one regular volume is read, and the frames of a file by place: ITK itself stacks frames in the
    order of the file, evenly, whatever their positions, and of several series in a folder MONAI takes any one. Channel
    files are of one grid up to a tenth of a voxel: MONAI refuses what differs by rounding alone, as a grid does that is
    a matrix in one file and a rotation in the other.

    Args:
        arguments: of `ITKReader`.
    """

    def read(self, data: Any, **kwargs: Any) -> Any:
        """Return path, voxels and header of a file or a folder of DICOM slices, or of each of several.

        Raises:
            InputError: what is DICOM is no regular volume (see `read_stack`), or compressed in a way not known here; a
                NIfTI file's affine is not finite.
        """
        return [(path, *self._read(path, **kwargs)) for path in map(str, ensure_tuple(data))]

    def get_data(self, img: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Return voxels and header of what was read, several files stacked on the grid of the first.

        Raises:
            InputError: a file lies on another grid than the first.
        """
        _, voxels, header = img[0]
        if len(img) == 1:
            return voxels, header
        for file in img[1:]:
            _check_grid(file, img[0])
        if not is_no_channel(header["original_channel_dim"]):
            return np.concatenate([voxels for _, voxels, _ in img], axis=-1), header
        return np.stack([voxels for _, voxels, _ in img]), {**header, "original_channel_dim": 0}

    def _read(self, path: str, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        if path.lower().endswith((".nii", ".nii.gz")):
            header: Any = nib.load(path)
            if not np.isfinite(header.affine).all():  # for which MONAI takes others without a word
                raise InputError(f"{path} has numbers in its affine that are NaN or infinite: correct the header")
            nifti = NibabelReader()
            return nifti.get_data(nifti.read(path, **kwargs))
        if os.path.isdir(path) or is_dicom(path):
            return super().get_data(_read_dicom(path))
        if path.lower().endswith((".mha", ".mhd")):  # which ITK itself does not know in capitals
            kwargs["imageio"] = itk.MetaImageIO.New()
        return super().get_data(super().read(path, **kwargs))


def _check_grid(file: tuple[str, np.ndarray, dict[str, Any]], first: tuple[str, np.ndarray, dict[str, Any]]) -> None:
    sizes = [tuple(map(int, header["spatial_shape"])) for _, _, header in (first, file)]
    if sizes[0] != sizes[1]:
        raise InputError(f"{file[0]} has {sizes[1]} voxels, {first[0]} {sizes[0]}: both must lie on one grid, resample")
    affines = first[2]["affine"], file[2]["affine"]
    if not is_one_grid(*affines, sizes[0]):
        shift = corner_shift(*affines, sizes[0])
        raise InputError(f"{file[0]} lies {shift:.2f} mm beside {first[0]}: give both the same affine, or resample it")


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
