"""Settings of a network that the shapes of its tensors do not betray."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import InputError
from ..processes import rank_and_size

SHAPELESS = ("num_heads", "windows", "shift_mask", "quirks", "stem_strides", "down_paddings")
# These may change as an encoder is transferred; of another grid with as many patches, each would get another's position
OF_THE_WHOLE = ("image_size", "skips", "strides")


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
    for name, trained, own in _differing(plan, network, names):
        raise InputError(
            f"{source} was trained with {name} {trained}, here it is {own}: the weights would be taken "
            "for others; use the configuration (such as the preset and patch) it was trained with"
        )


def warn_of_other_strides(plan: dict[str, Any], network: nn.Module, source: str | Path) -> None:
    """Warn where a U-Net's stages see other sizes than as they were pretrained; papers do transfer so.

    Args:
        plan: of the checkpoint, see `TrainingCheckpoint`.
        network: with `settings`, if it tells any.
        source: where the weights come from, for the message.
    """
    for name, trained, own in _differing(plan, network, ("strides",)):
        if rank_and_size()[0] == 0:
            logging.getLogger(__name__).warning(
                "%s was pretrained with %s %s, here they are %s: its features were learned at other sizes; weights "
                "transfer best between equal networks",
                *(source, name, trained, own),
            )


def meaning_of_setting(value: Any) -> Any:
    """Return a list with each number once per axis, as 2 and [2, 2, 2] mean the same stride; other values as they are.

    Args:
        value: of a setting.
    """
    if not isinstance(value, list | tuple):
        return value
    return [list(entry) if isinstance(entry, list | tuple) else [entry] * 3 for entry in value]


def _differing(plan: dict[str, Any], network: nn.Module, names: Sequence[str]) -> list[tuple[str, Any, Any]]:
    """Return name, trained value and own value of each setting that differs, where both are known."""
    trained: Any = plan.get("network") or {}
    own: Any = getattr(network, "settings", {})
    known = [name for name in names if name in trained and name in own]
    return [
        (name, trained[name], own[name])
        for name in known
        if meaning_of_setting(trained[name]) != meaning_of_setting(own[name])
    ]
