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
    if trained and spacing and not np.allclose(trained, spacing, rtol=1e-3):
        raise InputError(
            f"{source} was trained on voxels of {trained} mm, here they are of {list(spacing)}: give "
            f'--spacing "{trained}"'
        )


def warn_of_other_preprocessing(plan: dict[str, Any], own: dict[str, Any], source: str | Path) -> None:
    """Warn where structures or intensities looked otherwise to the pretrained network; that costs accuracy, no more.

    Args:
        plan: of the checkpoint, see `TrainingCheckpoint`.
        own: what is done now by the same names, such as `spacing` (mm) and `normalization` (in words, of which the
            numbers count or, where there are none, the first).
        source: where the weights come from, for the message.
    """
    for name, value in own.items():
        if name in plan and meaning_of(plan[name]) != meaning_of(value) and rank_and_size()[0] == 0:
            logging.getLogger(__name__).warning(
                "%s was pretrained with %s %s, here it is %s: weights transfer best between scans prepared alike",
                source,
                name,
                plan[name],
                value,
            )


def meaning_of(value: Any) -> Any:
    """Return what counts of a normalisation in words, its numbers or else its first word; of others the value."""
    if not isinstance(value, str):
        return value
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", value)] or value.split()[:1]
