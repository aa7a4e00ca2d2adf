"""Which findings and which patient belong to an image: the tables of ChestX-ray14 and of its reduced copies."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from .xray_findings import column_of, findings_vector

RELEASE, REDUCED = "Data_Entry_2017*.csv", "labels.csv"


class Row(NamedTuple):
    """One image of a table: its file name, its patient, its findings and where the table says so."""

    image: str
    patient: str
    label: list[int]
    where: str


def find_table(folder: Path) -> Path | None:
    """Return the table of a dataset's folder, None where there is none.

    Raises:
        InputError: there are several.
    """
    tables = sorted([*folder.glob(RELEASE), *folder.glob(REDUCED)])
    if len(tables) > 1:
        raise InputError(f"{folder} has several tables, {', '.join(t.name for t in tables)}: keep one of them")
    return tables[0] if tables else None


def read_table(path: Path, labels: Sequence[str] | None) -> list[Row]:
    """Read a table, either of the release (findings joined by "|") or with a column of 0 and 1 per finding.

    Args:
        path: CSV file; the release's has `Image Index`, `Finding Labels` and `Patient ID`, the other `image`,
            `patient` and the findings' names.
        labels: the findings in order; tables are read by name, whatever their order. None reads no findings, whatever
            other columns there are.

    Returns:
        One row per image.

    Raises:
        InputError: a column is missing or unknown, a finding is unknown, or an image is there twice.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        lines = list(reader)
    release = {"Image Index", "Finding Labels", "Patient ID"} <= set(columns)
    if not release:
        _check_columns(path, columns, labels)
    names = ("Image Index", "Patient ID") if release else ("image", "patient")
    image, patient = (column_of(name, columns) or name for name in names)
    findings = _release_findings if release else _reduced_findings
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines, start=2):
        where = f"{path} row {number} ({line[image]})"
        if not line[image] or not line[patient]:
            raise InputError(f"{where} lacks its image or patient: complete it")
        label = [] if labels is None else findings(line, labels, where)
        row = Row(line[image].strip(), patient_id(line[patient]), label, where)
        if row.image in rows:
            raise InputError(f"{where} repeats an image of {rows[row.image].where}: remove one")
        rows[row.image] = row
    if not rows:
        raise InputError(f"{path} has no rows: give a table of images")
    return list(rows.values())


def patient_id(text: str) -> str:
    """Return a patient's number in the eight digits of the file names; other names stay as they are."""
    return text.strip().zfill(8) if text.strip().isdigit() else text.strip()


def _check_columns(path: Path, columns: Sequence[str], labels: Sequence[str] | None) -> None:
    wanted = ["image", "patient", *(labels or [])]
    missing = [name for name in wanted if column_of(name, columns) is None]
    unknown = [] if labels is None else [column for column in columns if column_of(column, wanted) is None]
    if missing or unknown:
        raise InputError(
            f"{path} row 1: columns missing {missing}, unknown {unknown}; expected {', '.join(wanted)}, or the "
            "release's Image Index, Finding Labels and Patient ID"
        )


def _release_findings(line: dict[str, str], labels: Sequence[str], where: str) -> list[int]:
    return findings_vector(line["Finding Labels"] or "", labels, where)


def _reduced_findings(line: dict[str, str], labels: Sequence[str], where: str) -> list[int]:
    texts = {label: (line[column_of(label, list(line)) or ""] or "").strip() for label in labels}
    odd = {label: text for label, text in texts.items() if text not in ("0", "1")}
    if odd:
        raise InputError(f"{where} has {odd}: every finding is 0 or 1, correct it")
    return [int(text) for text in texts.values()]
