"""Verdicts on scans in a CSV account, so that what was judged once is not read again until its files change."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import InputError
from ..files import save_csv
from ..processes import rank_and_size
from .reading import as_list, stamp

COLUMNS = ("case", "path", "stamp", "rule", "verdict", "reason")
SECONDS_BETWEEN_WRITES = 30.0


def judge_all(
    items: list[dict[str, Any]],
    judge: Callable[[dict[str, Any]], str],
    rule: str,
    account: str | Path | None,
    words: tuple[str, str],
) -> list[dict[str, str]]:
    """Return one account row per item, judging only those whose files or rule changed since the account was written.

    What could not be read is tried again, since the cause may have been outside of the files, such as rights or a
    missing decoder; such a row has no stamp. The account is written at intervals and when anything interrupts, always
    as a whole file in one move. Under several processes each comes to the same rows and only rank 0 writes.

    Args:
        items: dicts with `case`, `image` and perhaps `label`.
        judge: returns what is wrong with an item in one line, or "" if nothing is; raises an `InputError` that says why
            it cannot be read.
        rule: the thresholds and the code by which `judge` decides; a verdict by another rule counts for nothing.
        account: CSV file with the columns `COLUMNS`, or None to keep no account.
        words: how the account calls an item without and with a reason.

    Returns:
        Rows with the keys `COLUMNS`, in the order of `items`.
    """
    known = _read(account) if account else {}
    rows, pending = [], []
    for item in items:
        paths = [*as_list(item["image"]), *([item["label"]] if "label" in item else [])]
        row = {"case": item["case"], "path": " | ".join(paths), "stamp": stamp(paths), "rule": rule}
        former = known.get((row["path"], row["stamp"], rule))
        if former is None:
            pending.append((row, item))
        else:
            row.update(verdict=former["verdict"], reason=former["reason"])
        rows.append(row)
    written = time.monotonic()
    try:
        for row, item in tqdm(pending, desc="checking scans", unit="scan", disable=None):  # None: only on a terminal
            try:
                reason = judge(item)
            except InputError as error:
                reason, row["stamp"] = str(error), ""
            row.update(verdict=words[bool(reason)], reason=reason)
            if time.monotonic() - written > SECONDS_BETWEEN_WRITES:
                _write(account, rows)
                written = time.monotonic()
    finally:
        _write(account, rows)
    return rows


def _read(account: str | Path) -> dict[tuple[str, ...], dict[str, str]]:
    if not os.path.exists(account):
        return {}
    with open(account, newline="", encoding="utf-8", errors="surrogateescape") as file:
        complete = [row for row in csv.DictReader(file) if None not in row.values() and set(COLUMNS) <= row.keys()]
    return {(row["path"], row["stamp"], row["rule"]): row for row in complete}


def _write(account: str | Path | None, rows: list[dict[str, str]]) -> None:
    rank, processes = rank_and_size()
    # cases are listed before the group of processes is made, of which torchrun tells by the environment alone
    if account is None or (rank if processes > 1 else int(os.environ.get("RANK", "0"))) != 0:
        return
    save_csv([row for row in rows if "verdict" in row], account, COLUMNS)
