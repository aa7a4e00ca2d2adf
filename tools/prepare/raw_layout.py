"""The common form: nnU-Net's raw layout, with a stated split."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from scripts.data.splits import shuffled
from scripts.files import save_json, write_atomically

from .case import Prepared
from .nifti import make_nifti

ENDING = ".nii.gz"
TEST_FRACTION = 0.2
DESCRIPTIONS = ("dataset.json", "split.json")
CARD_KEYS = ("name", "description", "reference", "licence", "channel_names", "labels", "regions", "regions_class_order")


def is_written(name: str, num_channels: int, target: Path) -> bool:
    """Tell whether all files of a case are there."""
    return all(path.is_file() for path in _paths(name, num_channels, target))


def write_case(name: str, prepared: Prepared, target: Path) -> None:
    """Write a case that passed `check`: its images, then the label as bytes."""
    label = make_nifti(np.asanyarray(prepared.label.dataobj).astype(np.uint8), prepared.label.affine)
    paths = _paths(name, len(prepared.images), target)
    for image, path in zip([*prepared.images, label], paths, strict=True):
        write_atomically(path, partial(nib.save, image))


def remove_case(name: str, target: Path) -> None:
    """Remove the files of a case: its source changed, or it is refused or half there."""
    images = (target / "imagesTr").glob(f"{glob.escape(name)}_[0-9][0-9][0-9][0-9]{ENDING}")
    for path in [*images, *_paths(name, 0, target)]:
        path.unlink(missing_ok=True)


def remove_descriptions(target: Path) -> None:
    """Remove what is written last: without it nobody takes half a dataset for all of it."""
    for name in DESCRIPTIONS:
        (target / name).unlink(missing_ok=True)


def write_descriptions(card: dict[str, Any], groups: Mapping[str, str], target: Path) -> dict[str, list[str]]:
    """Write `dataset.json` and `split.json`, the latter unless there is but one patient.

    Args:
        card: its `dataset` section.
        groups: case to patient or site, for all cases.
        target: folder of the dataset.

    Returns:
        Case names by part.
    """
    parts = divide(groups)
    if parts["train"]:
        number = len(set(groups.values()))
        text = (
            f"drawn by tools.prepare, seed 0: 20 % of {number} patients (or what must not be divided) are for the test"
        )
        save_json({"description": text, **parts}, target / "split.json")
    content = {key: card[key] for key in CARD_KEYS if key in card}
    save_json({**content, "numTraining": len(groups), "file_ending": ENDING}, target / "dataset.json")
    return parts


def divide(groups: Mapping[str, str]) -> dict[str, list[str]]:
    """Hold out a fifth of the groups for the test, drawn as `scripts.data.splits` draws with seed 0.

    Args:
        groups: case to group.

    Returns:
        Case names by part, "train" and "test".
    """
    ordered = shuffled(set(groups.values()), "patients 0")
    test = set(ordered[: max(1, round(TEST_FRACTION * len(ordered)))])
    return {
        "train": sorted(name for name, group in groups.items() if group not in test),
        "test": sorted(name for name, group in groups.items() if group in test),
    }


def _paths(name: str, num_channels: int, target: Path) -> list[Path]:
    images = [target / "imagesTr" / f"{name}_{channel:04d}{ENDING}" for channel in range(num_channels)]
    return [*images, target / "labelsTr" / f"{name}{ENDING}"]
