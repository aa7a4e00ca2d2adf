"""Chest X-rays with what is known of them: findings, patient and the official part, or a plain folder without any."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import absolute
from .reading import stamp
from .xray_findings import FINDINGS
from .xray_images import find_xrays
from .xray_tables import Row, find_table, patient_id, read_table

logger = logging.getLogger(__name__)

LISTS = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
Case = dict[str, Any]


def xray_cases(dataset_dir: str | Path, labels: Sequence[str] | None = FINDINGS) -> list[Case]:
    """List the labelled images of ChestX-ray14, of its release's or a reduced layout.

    Args:
        dataset_dir: folder with `Data_Entry_2017*.csv` or `labels.csv`, the images at any depth, and both or none of
            `train_val_list.txt` and `test_list.txt`.
        labels: the findings in order; None reads none, and every `label` is empty.

    Returns:
        One `{"case", "image", "patient", "label", "stamp"}` per row of the table, sorted by case, with `part`
        ("train_val" or "test") where there are lists.

    Raises:
        InputError: the table is missing or malformed, or names an image that is not there or is there twice; an image
            is in two lists or in none, or a patient in two.
    """
    folder = _folder(dataset_dir)
    table = find_table(folder)
    if table is None:
        raise InputError(f"{folder} has no Data_Entry_2017*.csv and no labels.csv: give the folder that holds one")
    files = _files_by_name(folder)
    rows = read_table(table, labels)
    missing = [row for row in rows if row.image not in files]
    if missing:
        more = f" ({len(missing)} rows in all)" if len(missing) > 1 else ""
        raise InputError(f"{missing[0].where} has no image in {folder}{more}: add the file or remove the row")
    if len(files) > len(rows):
        logger.warning("%d images of %s are not in %s and not used", len(files) - len(rows), folder, table.name)
    parts = _parts(folder, rows)
    cases = [
        {
            "case": os.path.splitext(row.image)[0],
            "image": files[row.image],
            "patient": row.patient,
            "label": row.label,
            "stamp": stamp([files[row.image]]),
            **({"part": parts[row.image]} if parts else {}),
        }
        for row in rows
    ]
    return sorted(cases, key=lambda case: case["case"])


def unlabelled_xrays(dataset_dir: str | Path, results: str | Path | None = None) -> list[Case]:
    """List images to pretrain on: those of a labelled dataset, or any folder of images.

    Args:
        dataset_dir: as for `xray_cases`, or a folder of PNG and JPEG images. There a `test_list.txt` counts too,
            whatever the format of the images, and the patient is in the first eight digits of a name like the
            release's, each other image one of its own.
        results: folder where results go, which is not searched for images.

    Returns:
        As `xray_cases` does without findings; a plain folder's cases have no `label`.

    Raises:
        InputError: as `xray_cases` does, or there is no image, or none that `test_list.txt` names.
    """
    folder = _folder(dataset_dir)
    if find_table(folder) is not None:
        return xray_cases(folder, labels=None)
    found = find_xrays(folder, results)
    cases = [{**c, "patient": _patient_of(c["case"]), "stamp": stamp([c["image"]])} for c in found]
    path = folder / LISTS["test"]
    # by name alone, since copies may be of another format
    tested = {Path(name).stem for _, name in _list(path)}
    if not tested:
        return cases
    there = tested & {Path(c["image"]).stem for c in cases}
    if not there:
        raise InputError(
            f"{path} names none of the {len(cases)} images in {folder}, so that none is left out: give the list that "
            "belongs to them, or remove it"
        )
    if there < tested:
        logger.warning("%d of %d images of %s are not in %s", len(tested - there), len(tested), path.name, folder)
    return [{**c, "part": "test" if Path(c["image"]).stem in tested else "train_val"} for c in cases]


def _folder(dataset_dir: str | Path) -> Path:
    folder = absolute(dataset_dir)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give the folder of the images and their table")
    return folder


def _files_by_name(folder: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    for item in find_xrays(folder):
        name = os.path.basename(item["image"])
        if name in files:
            raise InputError(f"{name} is there twice, as {files[name]} and {item['image']}: remove one")
        files[name] = item["image"]
    return files


def _parts(folder: Path, rows: list[Row]) -> dict[str, str]:
    """Return the official part of every image, nothing where there are no lists."""
    present = [name for name in LISTS.values() if (folder / name).is_file()]
    if not present:
        return {}
    if len(present) == 1:
        raise InputError(f"{folder} has {present[0]} of {' and '.join(LISTS.values())}: add the other, or remove it")
    known = {row.image for row in rows}
    parts: dict[str, str] = {}
    for part, name in LISTS.items():
        for number, image in _list(folder / name):
            where = f"{folder / name} row {number} ({image})"
            if image not in known:
                raise InputError(f"{where} is not in the table: remove it, or use the table that belongs to the lists")
            if image in parts:
                raise InputError(f"{where} is in {LISTS[parts[image]]} too: an image has one split, remove it from one")
            parts[image] = part
    patients: dict[str, Row] = {}
    for row in rows:
        if row.image not in parts:
            raise InputError(f"{row.where} is in neither of {' and '.join(LISTS.values())}: add it to one")
        first = patients.setdefault(row.patient, row)
        if parts[first.image] != parts[row.image]:
            raise InputError(
                f"{row.where} is of patient {row.patient} in {LISTS[parts[row.image]]}, {first.image} of the same "
                f"patient in {LISTS[parts[first.image]]}: a patient has one split, move one of the images"
            )
    return parts


def _list(path: Path) -> list[tuple[int, str]]:
    """Return the file names of a list with their line numbers; nothing where there is no list."""
    lines = path.read_text(encoding="utf-8-sig").splitlines() if path.is_file() else []
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]


def _patient_of(case: str) -> str:
    found = re.search(r"(?<!\d)(\d{8})_\d{3}$", case)
    return patient_id(found[1]) if found else case
