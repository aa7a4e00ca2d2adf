"""Settings of a network that the shapes of its tensors do not betray."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import InputError

SHAPELESS = ("num_heads", "windows", "shift_mask", "quirks")
PLACES = "image_size"  # of another grid with as many patches, each would get another's position


def check_settings(plan: dict[str, Any], network: nn.Module, names: Sequence[str], source: str | Path) -> None:
    """Refuse weights whose network computes otherwise with the same tensors, where both settings are known.

    Args:
        plan: of the checkpoint, see `TrainingCheckpoint`.
        network: with `settings`, if it tells any.
        names: which of them must agree.
        source: where the weights come from, for the message.

    Raises:
        InputError: naming the first setting that differs.
    """
    trained: Any = plan.get("network") or {}
    own: Any = getattr(network, "settings", {})
    for name in names:
        if name in trained and name in own and trained[name] != own[name]:
            raise InputError(
                f"{source} was trained with {name} {trained[name]}, here it is {own[name]}: the weights would be taken "
                "for others; use the configuration (such as the preset and patch) it was trained with"
            )
