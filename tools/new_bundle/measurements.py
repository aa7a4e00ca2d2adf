"""Measuring a whole dataset: a line per case in a file, so that memory is bounded and nothing is read twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from scripts.data.reading import stamp

from .measure import Row, files_of, measure_case


def measure_all(
    cases: list[dict[str, Any]],
    file: Path,
    num_channels: int | None,
    num_workers: int = 0,
    measure: Callable[[dict[str, Any], int | None], Row] = measure_case,
) -> None:
    """Measure the cases that the file lacks or whose files changed; each is on disk before the next is begun.

    Args:
        cases: to measure.
        file: JSON lines, one per case in any order; of several for one case the last counts.
        num_channels: see `measure_case`.
        num_workers: processes that read; 0 reads in this one.
        measure: measures one case.
    """
    known = {(row["path"], row["stamp"]) for _, row in _lines(file) if row["rule"] == num_channels and _is_read(row)}
    pending = [case for case in cases if _key(case) not in known]
    _end_line(file)
    loader = DataLoader(_Measured(pending, num_channels, measure), None, num_workers=num_workers, collate_fn=_as_is)
    progress = tqdm(loader, "reading cases", len(cases), initial=len(cases) - len(pending), unit="case", disable=None)
    with file.open("a", encoding="utf-8") as lines:
        for row in progress:
            lines.write(json.dumps({**row, "rule": num_channels}) + "\n")
            lines.flush()


def measured_rows(cases: list[dict[str, Any]], file: Path, num_channels: int | None) -> Iterator[tuple[int, Row]]:
    """Yield the rows of the cases, one at a time, in no order; `measure_all` has to be done.

    Args:
        cases: as they were measured.
        file: that `measure_all` wrote.
        num_channels: with which it did.

    Yields:
        Number of the case in `cases`, and its row.
    """
    numbers = {_key(case): number for number, case in enumerate(cases)}

    def number_of(row: Row) -> int | None:
        return numbers.get((row["path"], row["stamp"])) if row["rule"] == num_channels else None

    last = {number_of(row): line for line, row in _lines(file)}
    for line, row in _lines(file):
        number = number_of(row)
        if number is not None and last[number] == line:
            yield number, row


class _Measured(Dataset):
    """Rows, each measured when it is asked for."""

    def __init__(self, cases: list[dict[str, Any]], num_channels: int | None, measure: Callable[..., Row]) -> None:
        self.cases, self.num_channels, self.measure = cases, num_channels, measure

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Row:
        return self.measure(self.cases[index], self.num_channels)


def _as_is(row: Any) -> Any:
    return row


def _is_read(row: Row) -> bool:
    """Tell whether a case could be read; if not, that is tried again: the cause may have been outside of its files."""
    return "unreadable" not in {kind for kind, _ in row["faults"]}


def _key(case: dict[str, Any]) -> tuple[str, str]:
    paths = files_of(case)
    return " | ".join(paths), stamp(paths)


def _lines(file: Path) -> Iterator[tuple[int, Row]]:
    """Yield number and content of every whole line."""
    if not file.exists():
        return
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError:
                continue  # the process was killed while it wrote this one


def _end_line(file: Path) -> None:
    """Make sure that what is appended begins a line of its own."""
    if file.exists() and not file.read_bytes().endswith(b"\n"):
        with file.open("a") as lines:
            lines.write("\n")
