"""A DICOM series as scanners send it: oblique, slices in decreasing order, file names that say nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def write_series(folder: Path, volume: np.ndarray, affine: np.ndarray) -> str:
    """Write a volume as a CT series.

    Args:
        folder: to make.
        volume: whole numbers (columns, rows, slices), written as stored value + 1000.
        affine: its RAS affine in mm; the columns are orthogonal and the last one may point either way.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    column, row = lps[:3, 0] / spacing[0], lps[:3, 1] / spacing[1]
    common = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    common |= {"Modality": "CT", "PatientID": "p1", "PatientName": "Doe^Jo", "PatientBirthDate": "", "PatientSex": ""}
    common |= {"StudyID": "1", "StudyDate": "20260101", "StudyTime": "120000", "AccessionNumber": "", "SeriesNumber": 4}
    common |= {"ReferringPhysicianName": "", "Manufacturer": "none", "RescaleSlope": 1, "RescaleIntercept": -1000}
    common |= {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "RescaleType": "HU"}
    common |= {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0}
    common |= {"Rows": volume.shape[1], "Columns": volume.shape[0], "SliceThickness": float(spacing[2])}
    common |= {"ImageOrientationPatient": numbers([*column, *row]), "PixelSpacing": numbers([spacing[1], spacing[0]])}
    for index in range(volume.shape[2]):
        one = pydicom.Dataset()
        one.file_meta = pydicom.dataset.FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = CTImageStorage
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = generate_uid()
        for name, value in common.items():
            setattr(one, name, value)
        one.InstanceNumber = index + 1
        one.ImagePositionPatient = numbers(lps[:3, 3] + index * lps[:3, 2])
        one.PixelData = (volume[:, :, index].T + 1000).astype("<u2").tobytes()
        # multiplying by 7 scatters the names
        pydicom.dcmwrite(folder / f"{index * 7 % 97:03d}.dcm", one, enforce_file_format=True)
    return str(folder)


def numbers(values: list[float] | np.ndarray) -> list[str]:
    """Return numbers as DICOM's decimal strings of at most 16 characters."""
    return [f"{value:.10f}"[:16] for value in values]
