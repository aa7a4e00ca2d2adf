"""The slices of a DICOM series: whether they are the regular stack that a volume is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pydicom

from ..errors import InputError
from .reading import check_one_series, dicom_files

TOLERANCE_MM = 0.1


def read_slices(folder: str) -> list[Any]:
    """Return the headers of a series' slices in the order in which they lie along their normal."""
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in dicom_files(folder)]
    single = all("ImagePositionPatient" in one and "NumberOfFrames" not in one for one in headers)
    if not single:
        raise InputError(f"{folder} is not a series of single slices with positions: convert it to NIfTI first")
    normal = np.cross(*np.array(headers[0].ImageOrientationPatient, dtype=float).reshape(2, 3))
    return sorted(headers, key=lambda one: float(normal @ np.array(one.ImagePositionPatient, dtype=float)))


def check_stack(folder: str) -> None:
    """Refuse slices that do not make a regular volume: readers would bend or shift them in silence.

    Files of many frames, or without positions, are left to the reader.

    Raises:
        InputError: if slices are missing or unevenly spaced, or the gantry was tilted.
    """
    check_one_series(folder)
    try:
        slices = read_slices(folder)
    except InputError:
        return
    if len(slices) < 3:
        return
    positions = np.array([one.ImagePositionPatient for one in slices], dtype=float)
    row, column = np.array(slices[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    along = (positions - positions[0]) @ np.cross(row, column)
    gaps = np.diff(along)
    if np.ptp(gaps) > TOLERANCE_MM:
        raise InputError(
            f"the slices in {folder} lie {gaps.min():.2f} to {gaps.max():.2f} mm apart: add missing ones or resample"
        )
    sideways = np.ptp((positions - positions[0]) @ np.stack([row, column], axis=1), axis=0).max()
    if sideways > TOLERANCE_MM * len(slices):
        raise InputError(
            f"the slices in {folder} shift sideways by {sideways:.1f} mm in all (gantry tilt): correct the tilt first"
        )
