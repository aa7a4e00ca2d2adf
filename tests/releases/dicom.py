"""DICOM series in miniature, in any orientation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid


def write_series(
    folder: Path, volume: np.ndarray, rotation: np.ndarray, spacing: tuple[float, ...], origin: tuple[float, ...]
) -> None:
    """Write the slices of a volume, named in an order that is not that of their places.

    Args:
        folder: is made.
        volume: (column, row, slice) of whole numbers.
        rotation: (3, 3), its columns are the directions of columns, rows and slices in LPS.
        spacing: in mm, of columns, rows and slices.
        origin: of the first voxel, LPS in mm.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study, series = generate_uid(), generate_uid()
    for index in range(volume.shape[2]):
        slice_ = pydicom.Dataset()
        slice_.file_meta = pydicom.dataset.FileMetaDataset()
        slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID = MRImageStorage
        slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID = generate_uid()
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID, slice_.PatientID = study, series, "someone"
        slice_.Modality, slice_.InstanceNumber = "MR", index + 1
        slice_.ImagePositionPatient = [f"{v:.8g}" for v in np.array(origin) + rotation[:, 2] * spacing[2] * index]
        slice_.ImageOrientationPatient = [f"{v:.8g}" for v in rotation[:, :2].T.reshape(-1)]
        slice_.PixelSpacing, slice_.SliceThickness = [spacing[1], spacing[0]], spacing[2]
        pixels = volume[:, :, index].T
        slice_.Rows, slice_.Columns = pixels.shape
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 1
        slice_.PixelData = np.ascontiguousarray(pixels, "<i2").tobytes()
        pydicom.dcmwrite(folder / f"{(index * 7) % 101:03d}.dcm", slice_, enforce_file_format=True)
