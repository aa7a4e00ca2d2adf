"""The data of a study: where it lies, what it is, and lists of the scans that a pretraining may see."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from scripts.data.cases import labelled_cases
from scripts.data.splits import split_cases
from scripts.errors import InputError
from scripts.files import save_json

from ..commands import shown

HEAD = 65536  # bytes of a file's beginning that stand for its content, so that terabytes need no reading


def data_digest(folder: Path) -> str:
    """Return a hash of names, sizes and first 64 KiB of all files in a folder, the same on every machine.

    Raises:
        InputError: if the folder is missing or empty.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise InputError(f"{shown(folder)} holds no data: put it there, or name another --data_dir")
    content = hashlib.sha256()
    for path in files:
        content.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size} ".encode())
        with path.open("rb") as file:
            content.update(file.read(HEAD))
    return content.hexdigest()[:12]


def list_training_images(folder: Path, config: dict[str, Any], fold: int, target: Path) -> None:
    """Write the data list of a fold's training images; those that validate and test are left out.

    Args:
        folder: the labelled dataset.
        config: the segmentation bundle's, which says how it is divided.
        fold: which fold validates.
        target: JSON file to write.
    """
    cases = labelled_cases(folder, config["labels"], config["channels"], target.with_suffix(".csv"))
    parts = split_cases(
        cases,
        fold=fold,
        num_folds=config["num_folds"],
        test_fraction=config["test_fraction"],
        seed=config["split_seed"],
        patient_pattern=config["patient_pattern"],
    )
    save_json([{"image": case["image"]} for case in parts["train"]], target)
