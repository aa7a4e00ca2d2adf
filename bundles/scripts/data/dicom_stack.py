"""The slices of a DICOM scan, each in a file or all in one: whether they are the regular stack that a volume is."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import numpy as np
import pydicom

from ..errors import InputError
from .dicom_files import dicom_files, has_frames, is_image, read_header

TOLERANCE_MM = 0.1  # of the distances between slices
ONE_PLACE_MM = 1e-3
MAX_TURN = 1e-2  # of a slice against another, cosine


def read_stack(path: str) -> list[Any]:
    """Return the headers of a DICOM scan that is a regular volume: readers would bend or shift others in silence.

    Args:
        path: a file of many frames, or a folder with the slices of one series. Reports, segmentations and localizers
            beside them are left out, and files of many frames, which are scans of their own.

    Returns:
        The slices in the order in which they lie along their normal, or the one file of many frames.

    Raises:
        InputError: there are several series or volumes, slices without positions, of several directions or sizes,
            missing ones or unevenly spaced ones, or the gantry was tilted.
    """
    files = [file for file in dicom_files(path) if is_image(file)] if os.path.isdir(path) else [path]
    files = [file for file in files if not has_frames(file)] or files
    images = [read_header(file) for file in files]
    images = [image for image in images if "LOCALIZER" not in image.get("ImageType", [])] or images
    images = list({_identity(image): image for image in images}.values())
    _check_one_series(path, images)
    frames = has_frames(files[0])
    if frames and (len(images) > 1 or "ConcatenationUID" in images[0]):
        raise InputError(f"{path} is a volume in parts of many frames each: convert it to NIfTI first")
    planes = frames_of(images[0]) if frames else images
    try:
        positions = np.array([plane.ImagePositionPatient for plane in planes], dtype=float).reshape(-1, 3)
        directions = np.array([plane.ImageOrientationPatient for plane in planes], dtype=float).reshape(-1, 2, 3)
        pixel = float(min(planes[0].PixelSpacing))
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{path} does not say where its slices lie: convert it to NIfTI first") from error
    _check_alike(path, images, directions)
    along = positions @ np.cross(*directions[0])
    order = np.argsort(along, kind="stable")
    _check_spacing(path, np.diff(along[order]))
    sideways = np.ptp(positions @ directions[0].T, axis=0).max()
    if sideways > pixel:
        raise InputError(
            f"the slices in {path} shift sideways by {sideways:.1f} mm in all (gantry tilt): correct the tilt first"
        )
    return images if len(images) == 1 else [images[index] for index in order]


def _identity(image: Any) -> tuple[str, ...]:
    """Return what copies of a slice have in common; where it lies too, for anonymisers blank or share the UID."""
    keywords = ("SOPInstanceUID", "ImagePositionPatient", "ImageOrientationPatient")
    return tuple(str(image.get(keyword)) for keyword in keywords)


def frames_of(header: Any) -> list[Any]:
    """Return what a header of many frames says of each frame's place, as of slices in files of their own."""
    shared = header.get("SharedFunctionalGroupsSequence") or [None]
    return [_flat(shared[0], own) for own in header.get("PerFrameFunctionalGroupsSequence", [])]


def _flat(*groups: Any) -> Any:
    """Return the content of functional groups in one, where a later one's counts."""
    flat = pydicom.Dataset()
    for group in groups:
        for name in ("PixelMeasuresSequence", "PlaneOrientationSequence", "PlanePositionSequence"):
            for item in (group or {}).get(name) or []:
                flat.update(item)
    return flat


def _check_one_series(path: str, images: list[Any]) -> None:
    series: dict[str, list[Any]] = {}
    for image in images:
        series.setdefault(str(image.get("SeriesInstanceUID")), []).append(image)
    if not series:
        raise InputError(f"{path} holds no DICOM images, only reports or the like: give the folder of a series")
    if len(series) == 1:
        return
    named = [
        f"number {one[0].get('SeriesNumber', '?')}, {one[0].get('Modality', '?')}, {len(one)} images"
        for one in series.values()
    ]
    raise InputError(
        f"{path} holds {len(series)} DICOM series where one is expected ({'; '.join(named[:6])}"
        f"{'; ...' if len(named) > 6 else ''}): give each series its own folder"
    )


def _check_alike(path: str, images: list[Any], directions: np.ndarray) -> None:
    """Refuse slices that differ in size or direction."""
    sizes = Counter(f"{image.get('Columns')} x {image.get('Rows')}" for image in images)
    if len(sizes) > 1:
        raise InputError(f"{path} has slices of {' and '.join(sizes)} pixels: remove those that do not belong to it")
    turned = int((np.abs(directions - directions[0]).max((1, 2)) > MAX_TURN).sum())
    if turned:
        raise InputError(
            f"{turned} of {len(directions)} slices in {path} lie in other directions than the first (a localizer?): "
            "remove those that do not belong to it"
        )


def _check_spacing(path: str, gaps: np.ndarray) -> None:
    """Refuse slices, sorted by place, that lie at one place or unevenly apart."""
    if len(gaps) and gaps.min() < ONE_PLACE_MM:
        raise InputError(
            f"{path} has several slices at one place (echoes, phases, b-values?): give each volume on its own"
        )
    if len(gaps) and np.ptp(gaps) > TOLERANCE_MM:
        raise InputError(
            f"the slices in {path} lie {gaps.min():.2f} to {gaps.max():.2f} mm apart: add missing ones or resample"
        )
