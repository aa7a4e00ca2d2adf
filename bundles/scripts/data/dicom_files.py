"""Which files are DICOM, and which of them are scans: slices of a series lie in one folder, or all in one file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pydicom
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID

from ..errors import InputError

DICOM_SUFFIXES = (".dcm", ".ima")


def dicom_files(folder: str) -> list[str]:
    """Return the DICOM files that lie directly in a folder, sorted by name."""
    with os.scandir(folder) as entries:
        return sorted(entry.path for entry in entries if not entry.name.startswith(".") and is_dicom(entry.path))


def is_dicom(path: str) -> bool:
    """Tell a DICOM file by its suffix, or where there is none, by the word at byte 128."""
    name = os.path.basename(path)
    if name == "DICOMDIR" or not os.path.isfile(path):
        return False
    suffix = Path(name).suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return True
    if not re.fullmatch(r"(\.\d+)?", suffix):  # names such as 1.2.840.10008.7 or IM.0001 have no suffix in truth
        return False
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def dicom_scans(folder: str) -> list[str]:
    """Return the scans among the DICOM files that lie directly in a folder.

    Args:
        folder: to look into.

    Returns:
        The folder itself for the single slices in it, and each file of many frames; the folder alone for a lone file.
        Reports, segmentations and the like are no scans.
    """
    images = [file for file in dicom_files(folder) if is_image(file)]
    frames = [file for file in images if has_frames(file)]
    if len(images) == 1:
        return [folder]
    return [*([folder] if len(images) > len(frames) else []), *frames]


def is_image(file: str) -> bool:
    """Tell whether a DICOM file is an image as of a scanner, and not a report, a plan or a segmentation."""
    name = _kind(file).name
    return name.endswith("Image Storage") or not name.endswith("Storage")  # the latter: unknown ones


def has_frames(file: str) -> bool:
    """Tell whether a DICOM file holds many frames, each with its place: Enhanced CT, MR or PET, or a CT of an arm."""
    name = _kind(file).name
    return "Enhanced" in name or name.startswith("X-Ray 3D")


def read_header(file: str) -> Any:
    """Return what a DICOM image says but for its pixels.

    Raises:
        InputError: it is no DICOM image.
    """
    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, force=True)  # some lack the preamble
        if header.Rows and header.Columns:
            return header
    except Exception as error:  # bytes of any other kind raise whatever they lead to
        raise InputError(f"{file} is no DICOM image, or damaged: replace or remove it") from error
    raise InputError(f"{file} is a DICOM image without pixels: replace or remove it")


def _kind(file: str) -> UID:
    """Return a file's storage class, which many files can be asked for; unknown where it does not say."""
    try:
        return UID(read_file_meta_info(file).get("MediaStorageSOPClassUID") or "")
    except Exception:  # `read_header` will tell
        return UID("")
