"""The scans to pretrain on, with their labels only where a replication asks for them."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from ..errors import InputError, check_flags
from ..files import absolute, read_json
from .dataset_json import listed_cases, paired_images, read_dataset_json
from .scans import find_scans, part_images

logger = logging.getLogger(__name__)


def pretraining_scans(
    source: str | Path | list,
    label_crops: bool = False,
    results: str | Path | None = None,
    num_channels: int = 1,
) -> list[dict[str, Any]]:
    """List the scans behind what the user gave.

    Args:
        source: see `find_scans`, but of a folder with a `dataset.json` both the labelled cases' images and `imagesTs`;
            with `label_crops` a labelled dataset or a data list, see `paired_images`.
        label_crops: name each scan's label too, for crops drawn as `LabelGuidedVoxelsd` says.
        results: folder where results go, such as reconstructions, which is not searched for scans.
        num_channels: of a case; with several, files `<case>_0000`, `<case>_0001`, ... side by side are one case.

    Returns:
        One `{"case": name, "image": path}` per scan, with `label_crops` also `label`; `image` is a list for a case of
        several channel files.

    Raises:
        InputError: nothing there, or a scan without a label where one is needed.
    """
    check_flags(label_crops=label_crops)
    if not label_crops:
        items = source if isinstance(source, (list, tuple)) else [source]
        entries = [entry for item in items for entry in _entries(item)]
        return find_scans(entries, mixed_dicom=True, num_channels=num_channels, results=results)
    if isinstance(source, (list, tuple)):
        raise InputError(f"label_crops needs one labelled dataset, or one data list with labels, not {source}")
    cases = paired_images(source)
    missing = [case["label"] for case in cases if not os.path.isfile(case["label"])]
    if missing:
        raise InputError(f"label_crops needs a label for every scan, {missing[0]} is missing: add it or leave it out")
    return cases


def _entries(item: Any) -> list[Any]:
    """Return an item of a source, or the images of a dataset, labelled or not."""
    if not isinstance(item, (str, Path)):
        return [item]
    folder = absolute(item)
    if not (folder / "dataset.json").is_file():
        return [item]
    content = read_json(folder / "dataset.json")
    is_labelled = isinstance(content, dict) and {"training", "file_ending"} & content.keys()
    labelled = [case["image"] for case in listed_cases(folder, read_dataset_json(folder))] if is_labelled else []
    images = [*labelled, *part_images(folder, "imagesTr"), *part_images(folder, "imagesTs")]
    if labelled:
        logger.info(
            "%s: %d of its scans are those of labelled cases; what will test a network does not belong to its "
            "pretraining: leave it out by a data list",
            folder,
            len(labelled),
        )
    return [{"image": image} for image in images] or [item]
