"""X-ray images: which files there are, and the one road on which they are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from ..errors import InputError
from ..files import absolute
from .scans import but_results, case_names
from .walk import folders_below

XRAY_SUFFIXES = (".png", ".jpg", ".jpeg")


def find_xrays(source: str | Path, results: str | Path | None = None) -> list[dict[str, Any]]:
    """List the images of a folder, searched recursively, or the one that was named.

    Args:
        source: a PNG or JPEG file, or a folder; hidden files and folders are ignored.
        results: folder where results go, which is not searched for images.

    Returns:
        One `{"case": name, "image": path}` per image, sorted by case, named as scans are.

    Raises:
        InputError: there is nothing, or no image in it, or results would go beside the images.
    """
    path = absolute(source)
    if not path.exists():
        raise InputError(f"{path} does not exist: give an image or a folder of images")
    images = (
        [str(path)] if path.is_file() else [str(image) for image in but_results(path, sorted(_walk(path)), results)]
    )
    if not images or not all(map(_is_image, images)):
        raise InputError(f"no images in {path}: expected files ending in {', '.join(XRAY_SUFFIXES)}")
    names = case_names(list(images), tuple({os.path.splitext(image)[1] for image in images}))
    return sorted(({"case": c, "image": i} for c, i in zip(names, images, strict=True)), key=lambda x: x["case"])


def checked_xrays(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the images once every one of them can be read, so that no run stops halfway.

    Args:
        images: dicts with `image`, as `find_xrays` returns them.

    Returns:
        The same images.

    Raises:
        InputError: one cannot be read.
    """
    for item in tqdm(images, desc="checking images", unit="image", disable=None):  # None: only on a terminal
        read_xray(item["image"])
    return images


def read_xray(path: str | Path) -> np.ndarray:
    """Read an image of 1, 3 or 4 channels (2: grey with alpha) and 8 or 16 bits as grey.

    Args:
        path: PNG or JPEG file.

    Returns:
        float32 (1, H, W) from 0 to 1: alpha is dropped, colours are averaged.

    Raises:
        InputError: the file is no readable image, or of another kind.
    """
    try:
        with Image.open(path) as image:
            mode = image.mode
            # a palette stands for colours, a bit for black and white
            pixels = np.asarray(image.convert({"P": "RGB", "PA": "RGBA", "1": "L"}.get(mode, mode)))
    except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read ({error}): replace or remove it") from error
    if pixels.dtype == np.uint8 and mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        full = 255
    elif mode.startswith("I") and pixels.min() >= 0 and pixels.max() <= 65535:
        full = 65535
    else:
        raise InputError(f"{path} is of the kind {mode!r}: give 8 or 16 bits and 1, 3 or 4 channels")
    channels = pixels.reshape(*pixels.shape[:2], -1)
    colours = channels[..., :-1] if mode in ("LA", "PA", "RGBA") else channels
    return (colours.astype(np.float32).mean(axis=-1) / full)[None]


def _walk(folder: Path) -> list[str]:
    return [os.path.join(root, name) for root, files in folders_below(folder) for name in files if _is_image(name)]


def _is_image(name: str) -> bool:
    return name.lower().endswith(XRAY_SUFFIXES)
