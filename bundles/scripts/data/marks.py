"""What tells a case again without naming it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from .reading import as_list, stamp
from .scans import case_names

Case = dict[str, Any]


def case_marks(cases: Sequence[Case]) -> list[str]:
    """Return a mark of each case, kept in checkpoints so that nobody scores a network on what it was trained on.

    It follows from the name and the size of the files, as they are after copying, and names no patient to whom a model
    is passed on to. Cases from elsewhere, without these, have none.

    Args:
        cases: dicts with `case` and `stamp`, see `scripts.data.reading.stamp`.
    """
    return [_mark(item["case"], item["stamp"]) for item in _known(cases)]


def image_marks(cases: Sequence[Case]) -> list[str]:
    """Return a mark of each case's image, the same with a label and without: what pretraining keeps in checkpoints.

    Args:
        cases: as for `case_marks`, with `image`.
    """
    return [_mark(item["case"], stamp(as_list(item["image"]))) for item in _known(cases)]


def names_by_image_mark(cases: Sequence[Case]) -> dict[str, str]:
    """Return the names of cases by the marks under which a pretraining may have kept their images.

    That is the case's own, and those of its files, which are cases by themselves where channels are taken one by one.

    Args:
        cases: as for `image_marks`.
    """
    names = {}
    for item in _known(cases):
        paths = as_list(item["image"])
        names[_mark(item["case"], stamp(paths))] = item["case"]
        names |= {_mark(case_names([path])[0], stamp([path])): item["case"] for path in paths}
    return names


def _known(cases: Sequence[Case]) -> list[Case]:
    return [item for item in cases if "case" in item and "stamp" in item]


def _mark(name: str, of_files: str) -> str:
    text = f"{name} {of_files.split('-')[0]}"
    return sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]
