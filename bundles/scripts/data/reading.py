"""The one road on which a scan is read, and the files that make it up."""

from __future__ import annotations

import glob
import os
import re
from functools import cache
from hashlib import sha256

from monai.data import MetaTensor
from monai.transforms import LoadImage

from ..errors import InputError
from .dicom_files import dicom_files
from .scan_reader import ScanReader


def read_scan(image: str | list[str]) -> MetaTensor:
    """Read a scan so that every caller sees the same axes, affine and errors.

    Args:
        image: a file, a folder that holds one DICOM series, or the channel files of one case in order.

    Returns:
        float32 tensor (C, D, H, W) with its RAS affine in mm. Several channel files are stacked, the fourth axis of
        a 4D NIfTI file becomes C; what is not 3D keeps its own number of axes, (C, H, W) for a 2D file.

    Raises:
        InputError: what cannot be read: missing, truncated, not an image, DICOM that is no one regular volume, or
            channel files on several grids.
    """
    paths = as_list(image)
    try:
        return _loader()(paths, reader=ScanReader())
    except InputError:
        raise
    except Exception as error:  # readers raise whatever their file formats' libraries do
        raise InputError(f"{paths[0]} cannot be read ({_brief(error)}): replace or remove it") from error


def as_list(image: str | list[str]) -> list[str]:
    """Return the paths of an image: one, or one per channel file."""
    return image if isinstance(image, list) else [image]


def as_image(paths: list[str]) -> str | list[str]:
    """Return the image of some paths, the inverse of `as_list`: a single file is named as such, not as a list."""
    return paths[0] if len(paths) == 1 else paths


def channel_files(path: str, num_channels: int) -> list[str]:
    """Return the files of a case in nnU-Net's naming, `<case>_0000`, ..., of which this is one; none if it is not."""
    found = re.fullmatch(r"(.+_)\d{4}(\.[^/]+)", path)
    files = [f"{found[1]}{channel:04d}{found[2]}" for channel in range(num_channels)] if found else []
    return files if path in files else []


def scan_files(path: str) -> list[str]:
    """Return the files that make up one scan: a DICOM folder's, a header's and its data's, or the file itself."""
    if os.path.isdir(path):
        return dicom_files(path)
    if path.lower().endswith((".nhdr", ".mhd")):
        return [path, *_detached_data(path)]
    return [path]


def stamp(paths: list[str]) -> str:
    """Return total size in bytes of some scans and a digest of their files' sizes and times of change, in order."""
    try:
        stats = [os.stat(file) for path in paths for file in scan_files(path)]
    except OSError:
        return "missing"
    facts = [(stat.st_size, stat.st_mtime_ns) for stat in stats]
    # the size stays in front and readable: marks of cases in checkpoints follow from it
    return f"{sum(size for size, _ in facts)}-{sha256(repr(facts).encode()).hexdigest()[:16]}"


@cache
def _loader() -> LoadImage:
    # one for all reads, since MONAI logs a warning about a missing GPU codec with every one it makes
    return LoadImage(ensure_channel_first=True)


def _detached_data(header: str) -> list[str]:
    """Return the data files that an NRRD or MetaImage header names."""
    with open(header, encoding="latin-1") as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines):
        if found := re.match(r"(?:data ?file|ElementDataFile)\s*[:=]\s*(.+?)\s*$", line, re.IGNORECASE):
            if found[1].upper() == "LOCAL":  # in the header's own file
                return []
            if pattern := re.match(r".*%\d*d\S*", found[1]):
                return _numbered_files(os.path.join(os.path.dirname(header), pattern[0]))
            names = lines[number + 1 :] if found[1].startswith("LIST") else [found[1]]
            return [os.path.join(os.path.dirname(header), name) for name in names if name]
    return []


def _numbered_files(pattern: str) -> list[str]:
    """Return the slices of a pattern such as `s%03d.raw`, rather one too many than to repeat each format's counting."""
    return sorted(glob.glob(re.sub(r"%\d*d", "*", glob.escape(pattern))))


def _brief(error: Exception) -> str:
    # ITK puts source paths before its message, readers put matrices over several lines
    text = " ".join(str(error).rpartition("ITK ERROR:")[2].split())
    return f"{text[:157]}..." if len(text) > 160 else text or type(error).__name__
