"""Cases of two folders, one of images and one of labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from scripts.data.reading import as_image, as_list
from scripts.data.scans import SUFFIXES, stem, without_channel
from scripts.data.walk import folders_below

from .faults import Fault

IMAGES = ("images", "imagesTr", "image", "img")
LABELS = ("labels", "labelsTr", "label", "masks", "segmentations")
TAIL = r"[_-](seg|segmentation|label|labels|mask|msk|gt)$"


def paired_cases(folder: Path, channels: list[str] | None) -> tuple[list[dict[str, Any]], list[Fault], None]:
    """Pair images and labels by name.

    A label may bear `_seg`, `_label`, `_mask` or the like at its end; several channels are `<case>_0000`,
    `<case>_0001` and so on.

    Args:
        folder: with one of `IMAGES` and one of `LABELS` in it.
        channels: their names; only the number counts, and it may be None.

    Returns:
        Cases, faults, and no names of channels.
    """
    images, faults = _by_name(folder, IMAGES), []
    labels: dict[str, str] = {}
    for name, path in _by_name(folder, LABELS).items():
        case = re.sub(TAIL, "", name)
        if case in labels:
            faults.append(Fault(case, "missing partner", f"2 labels for it, {labels[case]} and {path}: keep one"))
        labels[case] = path
    if not labels.keys() & images.keys():
        images = _channels(images)
    count = max([len(channels or []), *(len(files) for files in images.values() if isinstance(files, list))])
    cases = []
    for name in sorted(images.keys() | labels.keys()):
        image = images.get(name)
        if image is None:
            faults.append(Fault(name, "missing partner", f"{labels[name]} has no image of that name: add or remove"))
        elif name not in labels:
            text = f"{as_list(image)[0]} has no label of that name: add or remove"
            faults.append(Fault(name, "missing partner", text))
        elif isinstance(image, list) and len(image) < count:
            text = f"{len(image)} of {count} channel files are there: add the others"
            faults.append(Fault(name, "missing partner", text))
        else:
            cases.append({"case": name, "image": as_image(as_list(image)), "label": labels[name]})
    return cases, faults, None


def _by_name(folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the scans below the first of these folders by relative path without suffix."""
    parent = next(folder / name for name in names if (folder / name).is_dir())
    found: dict[str, Any] = {}
    for path in (Path(root, name) for root, files in folders_below(parent) for name in files):
        if path.name.lower().endswith(SUFFIXES):
            found[stem(path.relative_to(parent).as_posix()).replace("/", "_")] = str(path)
    return found


def _channels(images: dict[str, Any]) -> dict[str, Any]:
    """Join files that differ in their channel number."""
    joined: dict[str, Any] = {}
    for name, path in images.items():
        joined.setdefault(without_channel(name), []).append(path)
    return joined
