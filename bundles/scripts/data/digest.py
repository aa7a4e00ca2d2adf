"""Which cases train and which validate, as a text."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any


def parts_digest(train: Sequence[dict[str, Any]], val: Sequence[dict[str, Any]]) -> str:
    """Return a text that two divisions share only if they are equal, so that a resumed run keeps its cases.

    Args:
        train: dicts with `case`, or from elsewhere at least `image`.
        val: as `train`.
    """
    names = [sorted(str(item.get("case", item["image"])) for item in part) for part in (train, val)]
    return f"{len(train)} + {len(val)} ({sha256(repr(names).encode()).hexdigest()[:8]})"
