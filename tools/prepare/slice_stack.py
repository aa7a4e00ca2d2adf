"""Volumes that a release holds as a folder of numbered pictures, one for each slice."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from scripts.errors import InputError

GREY = ("L", "I", "I;16", "I;16B")


def slice_numbers(folder: Path) -> dict[int, Path]:
    """Return the pictures of a folder by number in the order of numbers: 10 comes after 9, not after 1.

    Args:
        folder: pictures such as `0.png` ... `149.png`, or with leading zeros.

    Returns:
        Number to file, without gaps.

    Raises:
        InputError: there is none, a name is no number, or a number is missing or there twice.
    """
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("*.png")):
        if path.name.startswith("."):
            continue
        if not re.fullmatch(r"\d+", path.stem) or int(path.stem) in found:
            raise InputError(f"{folder.name}/{path.name} is not a slice by its number alone: rename or remove it")
        found[int(path.stem)] = path
    if not found:
        raise InputError(f"{folder.name} holds no picture such as 0.png")
    missing = sorted(set(range(min(found), max(found))) - found.keys())
    if missing:
        raise InputError(f"{folder.name} lacks the slices {', '.join(map(str, missing[:5]))}: unpack the release again")
    return dict(sorted(found.items()))


def read_stack(folder: Path) -> np.ndarray:
    """Read a folder of numbered pictures as a volume.

    Args:
        folder: as `slice_numbers` has it.

    Returns:
        Grey values (column, row, slice), in the order of the slices' numbers.

    Raises:
        InputError: a picture cannot be read, or the sizes differ.
    """
    slices = [_read_picture(path) for path in slice_numbers(folder).values()]
    if len({picture.shape for picture in slices}) > 1:
        raise InputError(f"{folder.name} has slices of different sizes")
    return np.stack(slices).T


def _read_picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture if picture.mode in GREY else picture.convert("L"))
    except OSError as error:
        raise InputError(f"{path.parent.name}/{path.name} cannot be read: unpack the release again") from error
