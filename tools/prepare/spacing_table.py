"""The spacings in the supplementary table of the MS dataset of Muslim et al. 2022."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl

from scripts.errors import InputError

COLUMN = "spacing between slices"
HEADER_ROWS = 5


def read_spacings(table: Path, contrast: str = "flair") -> dict[int, float]:
    """Read the z spacing of each patient.

    Args:
        table: .xlsx whose header stands in two rows: the contrasts, each over several columns, and what these hold.
        contrast: whose spacing is asked for.

    Returns:
        mm by the patient's number; patients whose cell is no such number are left out.

    Raises:
        InputError: the file is no such table.
    """
    try:
        book = openpyxl.load_workbook(table, read_only=True, data_only=True)
        rows = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
        book.close()
    except Exception as error:  # openpyxl raises whatever zip and XML do
        raise InputError(f"{table.name} cannot be read ({type(error).__name__}): download it again") from error
    for number, row in enumerate(rows[:HEADER_ROWS]):
        above = _filled(rows[number - 1]) if number else [""] * len(row)
        names = [f"{group} {_text(cell)}" for group, cell in zip(above, row, strict=True)]
        wanted = [column for column, name in enumerate(names) if COLUMN in name and contrast in name]
        ids = [column for column, name in enumerate(names) if "id" in name.split()]
        if wanted and ids:
            pairs = [(_number(entry[ids[0]]), _number(entry[wanted[0]])) for entry in rows[number + 1 :]]
            return {int(patient): step for patient, step in pairs if patient and step}
    raise InputError(f"{table.name} has no columns 'ID' and '{contrast.upper()}: Spacing Between Slices'")


def _text(cell: Any) -> str:
    return " ".join(str(cell if cell is not None else "").lower().split())


def _filled(row: list[Any]) -> list[str]:
    """Repeat what a merged cell says over the columns that it spans."""
    filled: list[str] = []
    for cell in row:
        filled.append(_text(cell) or (filled[-1] if filled else ""))
    return filled


def _number(cell: Any) -> float | None:
    try:
        value = float(str(cell).replace(",", "."))
    except ValueError:
        return None
    return value if 0 < value < 1000 else None
