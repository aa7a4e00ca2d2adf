"""Scans to run a network on, known to be fit before the first result is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from monai.data import MetaTensor
from tqdm import tqdm

from ..errors import InputError
from .reading import read_scan


def checked_scans(scans: list[dict[str, Any]], num_channels: int) -> list[dict[str, Any]]:
    """Return the scans once every one of them is known to be what the network takes.

    Args:
        scans: dicts with `case` and `image`, as `find_scans` returns them.
        num_channels: the network's input channels.

    Returns:
        The same scans.

    Raises:
        InputError: a scan is unreadable, not 3D, of other channels, or has NaN or infinite voxels.
    """
    progress = tqdm(scans, desc="checking scans", unit="scan", disable=None)  # None: only on a terminal
    problems = [f"case {scan['case']}: {problem}" for scan in progress for problem in scan_problems(scan, num_channels)]
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
        yield f"the {kind} has {form} where {num_channels} of a 3D scan are expected: give another, or split this one"


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


def scan_problems(scan: dict[str, Any], num_channels: int) -> Iterator[str]:
    """Yield why a scan, a dict with `image`, cannot be given to a network of `num_channels`, if so."""
    try:
        image = read_scan(scan["image"])
    except InputError as error:
        yield str(error)
        return
    yield from form_problems("image", image, num_channels)
    yield from value_problems(image)
    yield from constant_problems(image)
