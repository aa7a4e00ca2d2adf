"""DICOM as scanners send it: oblique, slices in decreasing order, file names that say nothing, one or many a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

ENHANCED = {"CT": EnhancedCTImageStorage, "MR": EnhancedMRImageStorage}


def write_series(folder: Path, volume: np.ndarray, affine: np.ndarray, suffix: str = ".dcm", **header: Any) -> str:
    """Write a volume as a CT series.

    Args:
        folder: is made where it is missing.
        volume: whole numbers (columns, rows, slices), written as stored value + 1000.
        affine: its RAS affine in mm; the columns are orthogonal and the last one may point either way.
        suffix: of the files.
        header: what every slice is to say otherwise.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lps, spacing, orientation = _geometry(affine)
    common = _common(volume) | {"Modality": "CT", "RescaleType": "HU", "RescaleSlope": 1, "RescaleIntercept": -1000}
    common |= {"SliceThickness": float(spacing[2]), "PixelSpacing": numbers([spacing[1], spacing[0]])}
    common |= {"ImageOrientationPatient": numbers(orientation)} | header
    for index in range(volume.shape[2]):
        one = _dataset(CTImageStorage, common)
        one.InstanceNumber = index + 1
        one.ImagePositionPatient = numbers(lps[:3, 3] + index * lps[:3, 2])
        one.PixelData = _pixels(volume[:, :, index])
        # multiplying by 7 scatters the names
        name = f"{common['SeriesNumber']}-{index * 7 % 97:03d}{suffix}"
        pydicom.dcmwrite(folder / name, one, enforce_file_format=True)
    return str(folder)


def write_enhanced(
    path: Path, volume: np.ndarray, affine: np.ndarray, modality: str = "CT", order: Sequence[int] | None = None
) -> str:
    """Write a volume as one file of many frames, an Enhanced CT or MR image.

    Args:
        path: of the file; its folder is made where it is missing.
        volume: as of `write_series`.
        affine: as of `write_series`.
        modality: CT or MR.
        order: of the slices as frames; by number where none is given.

    Returns:
        The file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    order = range(volume.shape[2]) if order is None else order
    lps, spacing, orientation = _geometry(affine)
    one = _dataset(ENHANCED[modality], _common(volume) | {"Modality": modality, "InstanceNumber": 1})
    one.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    one.NumberOfFrames = len(order)
    stack = {"DimensionOrganizationUID": generate_uid(), "DimensionIndexPointer": 0x00200032}
    stack |= {"FunctionalGroupPointer": 0x00209113}
    one.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=stack["DimensionOrganizationUID"])]
    one.DimensionIndexSequence = [_item(**stack)]
    measures = _item(SliceThickness=float(spacing[2]), PixelSpacing=numbers([spacing[1], spacing[0]]))
    values = _item(RescaleSlope=1, RescaleIntercept=-1000, RescaleType="HU" if modality == "CT" else "US")
    one.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[measures],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=numbers(orientation))],
            PixelValueTransformationSequence=[values],
        )
    ]
    one.PerFrameFunctionalGroupsSequence = [
        _item(
            FrameContentSequence=[_item(DimensionIndexValues=[int(index) + 1])],
            PlanePositionSequence=[_item(ImagePositionPatient=numbers(lps[:3, 3] + index * lps[:3, 2]))],
        )
        for index in order
    ]
    one.PixelData = b"".join(_pixels(volume[:, :, index]) for index in order)
    pydicom.dcmwrite(path, one, enforce_file_format=True)
    return str(path)


def write_report(path: Path) -> None:
    """Write a DICOM file that is no image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    one = _dataset(BasicTextSRStorage, {"Modality": "SR", "StudyInstanceUID": generate_uid()})
    one.SeriesInstanceUID = generate_uid()
    pydicom.dcmwrite(path, one, enforce_file_format=True)


def _geometry(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the LPS affine, the spacing in mm and the directions of rows and columns."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    return lps, spacing, np.r_[lps[:3, 0] / spacing[0], lps[:3, 1] / spacing[1]]


def _common(volume: np.ndarray) -> dict[str, Any]:
    """Return what all slices of a series have in common."""
    common: dict[str, Any] = {
        name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    }
    common |= {"PatientID": "P-4711", "PatientName": "Doe^Jo", "PatientBirthDate": "", "PatientSex": ""}
    common |= {"StudyID": "1", "StudyDate": "20260101", "StudyTime": "120000", "AccessionNumber": "", "SeriesNumber": 4}
    common |= {"ReferringPhysicianName": "", "Manufacturer": "none"}
    common |= {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}
    common |= {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0}
    return common | {"Rows": volume.shape[1], "Columns": volume.shape[0]}


def _dataset(kind: str, common: dict[str, Any]) -> pydicom.Dataset:
    one = _item(**common)
    one.file_meta = pydicom.dataset.FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = kind
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = generate_uid()
    return one


def _item(**values: Any) -> pydicom.Dataset:
    one = pydicom.Dataset()
    for name, value in values.items():
        setattr(one, name, value)
    return one


def _pixels(plane: np.ndarray) -> bytes:
    return (plane.T + 1000).astype("<u2").tobytes()


def numbers(values: Sequence[float] | np.ndarray) -> list[str]:
    """Return numbers as DICOM's decimal strings of at most 16 characters."""
    return [f"{value:.10f}"[:16] for value in values]
