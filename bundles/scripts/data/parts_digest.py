"""Which cases train and which validate, as a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any


def parts_digest(parts: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Return a text that two divisions share only if they are equal, so that a resumed run keeps its cases.

    Args:
        parts: dicts with `case` under "train" and "val".
    """
    names = {part: sorted(str(item["case"]) for item in parts[part]) for part in ("train", "val")}
    counts = " + ".join(str(len(cases)) for cases in names.values())
    return f"{counts} ({sha256(repr(names).encode()).hexdigest()[:8]})"
