"""Whether weights met scans prepared as those that they get now."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..processes import rank_and_size


def check_spacing(plan: dict[str, Any], spacing: Sequence[float] | None, source: str | Path) -> None:
    """Refuse to run a network on voxels of another size than it was trained on, where both are known.

    Args:
        plan: of the checkpoint, see `TrainingCheckpoint`.
        spacing: in mm, if known.
        source: where the weights come from, for the message.

    Raises:
        InputError: naming the spacing to give.
    """
    trained = plan.get("spacing")
    if trained and spacing and not (len(trained) == len(spacing) and np.allclose(trained, spacing, rtol=1e-3)):
        raise InputError(
            f"{source} was trained on voxels of {trained} mm, here they are of {list(spacing)}: give "
            f'--spacing "{trained}"'
        )


def check_mirroring(plan: dict[str, Any], mirror_axes: Sequence[int], source: str | Path) -> None:
    """Refuse to mirror along axes along which training did not, where these are known: left may be another class there.

    Args:
        plan: of the checkpoint, with `flip_axes`.
        mirror_axes: along which predictions are averaged.
        source: where the weights come from, for the message.

    Raises:
        InputError: naming the axes to give.
    """
    trained = plan.get("flip_axes")
    if trained is not None and not set(mirror_axes) <= set(trained):
        raise InputError(
            f"{source} was trained with flip_axes {trained}, here mirror_axes is {list(mirror_axes)}: give "
            f'--mirror_axes "{sorted(set(mirror_axes) & set(trained))}"'
        )


def warn_of_other_preprocessing(plan: dict[str, Any], own: dict[str, Any], source: str | Path) -> None:
    """Warn where structures or intensities looked otherwise to the trained network; that costs accuracy, no more.

    Args:
        plan: of the checkpoint, see `TrainingCheckpoint`.
        own: what is done now by the same names, such as `spacing` (mm), `channels` and `normalization`; `meaning_of`
            says what counts of them.
        source: where the weights come from, for the message.
    """
    for name, value in own.items():
        if name in plan and meaning_of(plan[name]) != meaning_of(value) and rank_and_size()[0] == 0:
            logging.getLogger(__name__).warning(
                "%s was trained with %s %s, here: %s; weights do best on scans prepared alike",
                source,
                name,
                plan[name],
                value,
            )


def preparation(plan: dict[str, Any]) -> list[Any]:
    """Return what a plan says of channels and intensities, None if nothing; networks that decide together agree."""
    return [meaning_of(plan.get(name)) for name in ("channels", "normalization", "equalise")]


def contradiction(told: Sequence[Sequence[Any]]) -> tuple[int, int] | None:
    """Find two that tell otherwise of the same thing; who tells nothing of it contradicts nobody.

    Args:
        told: by each, as many values in one order, None where nothing is known.

    Returns:
        Their numbers, of the later one first; None if there are no such two.
    """
    for values in zip(*told, strict=True):
        known = [number for number, value in enumerate(values) if value is not None]
        for number in known:
            if values[number] != values[known[0]]:
                return number, known[0]
    return None


def meaning_of(value: Any) -> Any:
    """Return what counts of a normalisation in words, its numbers or else its first word; of others the value.

    Names in a list, such as channels, are the same in capital and small letters.
    """
    if isinstance(value, list):
        return [item.lower() if isinstance(item, str) else item for item in value]
    if not isinstance(value, str):
        return value
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", value)] or value.split()[:1]
