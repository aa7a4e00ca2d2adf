"""The data of a study: where it lies, what it is, and lists of the scans that a pretraining may see."""

from __future__ import annotations

import hashlib
from pathlib import Path

from monai.bundle import ConfigParser

from scripts.errors import InputError
from scripts.files import save_json

from ..commands import Knobs, shown
from ..render import ROOT
from .overrides import effective_config

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


def list_training_images(bundle: str, knobs: Knobs, folder: Path, fold: int, target: Path) -> None:
    """Write the data list of a fold's training images, divided as the bundle itself does; the others are left out.

    Args:
        bundle: for which the dataset is.
        knobs: of the dataset.
        folder: the dataset.
        fold: which fold validates.
        target: JSON file to write.
    """
    places: Knobs = {"bundle_root": str(ROOT / "bundles" / bundle), "output_dir": str(target.with_suffix(""))}
    config = effective_config(bundle, [], {**knobs, **places, "dataset_dir": str(folder), "fold": fold})
    parts = ConfigParser(config).get_parsed_content("parts")
    save_json([{"image": case["image"]} for case in parts["train"]], target)
