"""Scans to run a network on, known to be fit before the first result is written."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from monai.data import MetaTensor
from tqdm import tqdm

from ..errors import InputError
from .reading import channel_files, read_scan

MIN_LONGEST_SIDE = 4  # voxels on the network's grid; of less, as of a header in metres, nothing is seen
MAX_VOXELS = 2**30  # there; 4 GB for each of some copies, where a body of 2 m at 1 mm has half as many
UNITS = {1: "metre", 3: "micrometre"}  # NIfTI's codes, of which readers take no notice


def checked_scans(scans: list[dict[str, Any]], num_channels: int, spacing: Sequence[float]) -> list[dict[str, Any]]:
    """Return the scans once every one of them is known to be what the network takes.

    Args:
        scans: dicts with `case` and `image`, as `find_scans` returns them.
        num_channels: the network's input channels.
        spacing: in mm, to which the scans are resampled.

    Returns:
        The same scans.

    Raises:
        InputError: a scan is unreadable, not 3D, of other channels, of a size that cannot be, or has NaN or infinite
            voxels.
    """
    progress = tqdm(scans, desc="checking scans", unit="scan", disable=None)  # None: only on a terminal
    found = ((scan["case"], problem) for scan in progress for problem in scan_problems(scan, num_channels, spacing))
    problems = [f"case {case}: {problem}" for case, problem in found]
    if problems:
        rest = f" | and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise InputError(" | ".join(problems[:3]) + rest)
    return scans


def form_problems(kind: str, scan: MetaTensor, num_channels: int) -> Iterator[str]:
    """Yield why a scan has not the form of a network's input, if so.

    Args:
        kind: what to call it, "image" or "label".
        scan: as `read_scan` returns it.
        num_channels: expected channels.
    """
    if scan.ndim != 4 or scan.shape[0] != num_channels:
        form = f"{scan.shape[0]} channels of {' x '.join(map(str, scan.shape[1:]))} voxels"
        advice = "give another, or split this one"
        if scan.ndim == 4 and scan.shape[0] < num_channels:
            advice = _missing_channels(str(scan.meta["filename_or_obj"]), num_channels)
        yield f"the {kind} has {form} where {num_channels} of a 3D scan are expected: {advice}"


def _missing_channels(path: str, num_channels: int) -> str:
    """Return what to do about a scan that lacks channels: add files, or give all channels in one of the known forms."""
    files = channel_files(path, num_channels)
    missing = [file for file in files if not os.path.exists(file)]
    if 0 < len(missing) < len(files) - 1:
        return f"add {' and '.join(missing)}"
    return (
        f"give all channels of a case as files <case>_0000 to <case>_{num_channels - 1:04d} side by side, as a 4D "
        "NIfTI file, or as a list of files in a JSON data list"
    )


def header_problems(image: MetaTensor, spacing: Sequence[float]) -> Iterator[str]:
    """Yield that the voxel sizes in an image's header cannot be meant, as of one in metres, if so.

    Args:
        image: (C, D, H, W), as `read_scan` returns it.
        spacing: in mm, to which it will be resampled.
    """
    affine = image.affine.numpy()[:3, :3]
    if not abs(np.linalg.det(affine)) > 0:  # negated, so that a NaN fails as well
        yield f"the affine of the image, {affine.tolist()}, is singular or not finite: correct the header"
        return
    steps = np.linalg.norm(affine, axis=0)
    longest = float(max(image.shape[1:] * steps)) / min(spacing)
    voxels = math.prod(image.shape[1:]) * abs(np.linalg.det(affine)) / math.prod(spacing)
    if longest < MIN_LONGEST_SIDE or voxels > MAX_VOXELS:
        sizes, wanted = (" x ".join(f"{float(step):.4g}" for step in axes) for axes in (steps, spacing))
        unit = UNITS.get(int(image.meta.get("xyzt_units", 0)) & 7)
        unit = f" ({unit} in its xyzt_units)" if unit else ""
        yield (
            f"the header of the image has voxels of {sizes} mm{unit}, which makes {voxels:.2g} of the network's "
            f"{wanted} mm, {longest:.2g} along the longest side: correct the header, or crop the image"
        )


def value_problems(image: MetaTensor) -> Iterator[str]:
    """Yield that an image, as `read_scan` returns it, has values that no network can take, if so."""
    bad = int((~image.as_tensor().isfinite()).sum())
    if bad:
        yield f"{bad} voxels of the image are NaN or infinite: repair or remove it"


def constant_problems(image: MetaTensor) -> Iterator[str]:
    """Yield that an image, as `read_scan` returns it, shows nothing: in one of several channels that may be so."""
    voxels = image.as_tensor().flatten(1)
    if (voxels == voxels[:, :1]).all():
        yield f"every voxel of the image is {voxels[:, 0].tolist()}: give a scan that shows something"


def scan_problems(scan: dict[str, Any], num_channels: int, spacing: Sequence[float]) -> Iterator[str]:
    """Yield why a scan, a dict with `image`, cannot be given to a network of `num_channels` and `spacing`, if so."""
    try:
        image = read_scan(scan["image"])
    except InputError as error:
        yield str(error)
        return
    yield from form_problems("image", image, num_channels)
    if image.ndim == 4:
        yield from header_problems(image, spacing)
    yield from value_problems(image)
    yield from constant_problems(image)
