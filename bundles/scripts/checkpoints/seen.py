"""Whether a network was trained on what it is to be scored on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..processes import rank_and_size
from .read import read_checkpoint


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
            f"{source}, or what it started from, was trained on {len(seen)} of these {len(marks)} cases: divide them "
            "as its training did (--split, --split_seed, --test_fraction, --fold, --patient_pattern), or give cases "
            "that are new to it"
        )


def check_unseen_images(plan: dict[str, Any], names: dict[str, str], source: str | Path) -> None:
    """Refuse to score a pretraining on scans that trained it, and warn of them where labels taught the network since.

    That is allowed, since pretraining sees no labels: SelfMedMAE pretrains on the very images that it segments.

    Args:
        plan: of the checkpoint, with `pretrained_on`.
        names: of the cases by their marks, see `scripts.data.names_by_image_mark`.
        source: where the weights come from, for the message.

    Raises:
        InputError: saying on how many it was pretrained, and on which.
    """
    seen = sorted({names[mark] for mark in names.keys() & set(plan.get("pretrained_on", ()))})
    if not seen:
        return
    told = f"{len(seen)} of these {len(set(names.values()))} cases ({', '.join(seen[:3])}{', ...' * (len(seen) > 3)})"
    if "method" in plan:
        raise InputError(
            f"{source} was pretrained on {told}: hold out those that it did (--val_fraction, --min_val_cases, "
            "--patient_pattern, of X-rays --test_fraction, --split_seed), or give scans that are new to it"
        )
    if rank_and_size()[0] == 0:
        logging.getLogger(__name__).warning(
            "%s started from a pretraining on the images, not the labels, of %s: on new patients it may do worse",
            source,
            told,
        )


def seen_before(source: str | Path | None) -> dict[str, list[str]]:
    """Return the marks of all cases that trained what a training starts from.

    Args:
        source: see `read_checkpoint`; None for a training from scratch.

    Returns:
        See `all_marks`.
    """
    return {} if source is None else all_marks(read_checkpoint(source).get("plan", {}))


def all_marks(*plans: dict[str, Any]) -> dict[str, list[str]]:
    """Return the marks that any of some plans has, sorted, under `trained_on` and `pretrained_on`, if there are any."""
    marks = {key: {mark for plan in plans for mark in plan.get(key, ())} for key in ("trained_on", "pretrained_on")}
    return {key: sorted(found) for key, found in marks.items() if found}
