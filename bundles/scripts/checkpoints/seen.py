"""Whether a network was trained on what it is to be scored on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError


def check_unseen(plan: dict[str, Any], marks: Sequence[str], source: str | Path) -> None:
    """Refuse to score a network on cases that trained it, where its checkpoint tells which did.

    Args:
        plan: of the checkpoint, with `trained_on`.
        marks: of the cases that are to be new to it, see `scripts.data.case_marks`.
        source: where the weights come from, for the message.

    Raises:
        InputError: saying how many it was trained on.
    """
    seen = set(marks) & set(plan.get("trained_on", ()))
    if seen:
        raise InputError(
            f"{source} was trained on {len(seen)} of these {len(marks)} cases: divide them as its training did "
            "(--split, --split_seed, --test_fraction, --fold, --patient_pattern), or give cases that are new to it"
        )
