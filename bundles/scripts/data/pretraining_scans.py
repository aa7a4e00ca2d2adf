"""The scans to pretrain on, with their labels only where a replication asks for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import InputError, check_flags
from .dataset_json import paired_images
from .scans import find_scans


def pretraining_scans(source: str | Path | list, label_crops: bool = False) -> list[dict[str, Any]]:
    """List the scans behind what the user gave.

    Args:
        source: see `find_scans`; with `label_crops` a labelled dataset or a data list, see `paired_images`.
        label_crops: name each scan's label too, for crops drawn as `LabelGuidedVoxelsd` says.

    Returns:
        One `{"case": name, "image": path}` per scan, with `label_crops` also `label`.

    Raises:
        InputError: nothing there, or a scan without a label where one is needed.
    """
    check_flags(label_crops=label_crops)
    if not label_crops:
        return find_scans(source, mixed_dicom=True)
    if isinstance(source, (list, tuple)):
        raise InputError(f"label_crops needs one labelled dataset, or one data list with labels, not {source}")
    cases = paired_images(source)
    missing = [case["label"] for case in cases if not os.path.isfile(case["label"])]
    if missing:
        raise InputError(f"label_crops needs a label for every scan, {missing[0]} is missing: add it or leave it out")
    return cases
