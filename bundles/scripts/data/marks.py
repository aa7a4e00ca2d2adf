"""What tells a case again without naming it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any


def case_marks(cases: Sequence[dict[str, Any]]) -> list[str]:
    """Return a mark of each case, kept in checkpoints so that nobody scores a network on what it was trained on.

    It follows from the name and the size of the files, as they are after copying, and names no patient to whom a model
    is passed on to. Cases from elsewhere, without these, have none.

    Args:
        cases: dicts with `case` and `stamp`, see `scripts.data.reading.stamp`.
    """
    known = [item for item in cases if "case" in item and "stamp" in item]
    texts = sorted(f"{item['case']} {item['stamp'].split('-')[0]}" for item in known)
    return [sha256(text.encode(errors="surrogateescape")).hexdigest()[:12] for text in texts]
