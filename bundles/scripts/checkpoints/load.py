"""Weights of exactly this network, for evaluation and inference."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ..errors import InputError
from ..networks.ensemble import Ensemble, learned_by
from .classes import Classes, check_classes
from .preprocessing import check_spacing
from .read import networks_in, read_checkpoint
from .seen import check_unseen
from .settings import OF_THE_WHOLE, SHAPELESS, check_settings

State = dict[str, torch.Tensor]


def load_weights(
    network: nn.Module,
    source: str | Path | None,
    classes: Classes | None = None,
    unseen: Sequence[str] = (),
    spacing: Sequence[float] | None = None,
) -> nn.Module:
    """Load the weights of exactly this network.

    Args:
        network: to fill.
        source: see `read_checkpoint`, of one network; None leaves the network as it is.
        classes: those that it shall tell apart, if any, see `check_classes`.
        unseen: marks of cases that it must not have been trained on, see `check_unseen`.
        spacing: of the voxels that it shall see, in mm, if known, see `check_spacing`.

    Returns:
        The network.

    Raises:
        InputError: if names, shapes, classes, settings or spacing differ, such a case is among those that trained it,
            or the file holds several networks.
    """
    if source is None:
        return network
    states = _checked_states(network, source, classes, unseen, spacing)
    if len(states) > 1:
        raise InputError(f"{source} holds {len(states)} networks that decide together: this task runs one at a time")
    load_state(network, states[0], source)
    return network


def load_ensemble(
    network: nn.Module,
    sources: str | Path | Sequence[str | Path],
    classes: Classes | None = None,
    unseen: Sequence[str] = (),
    spacing: Sequence[float] | None = None,
) -> nn.Module:
    """Load the weights of this network, or those of several of its kind that decide together.

    Args:
        network: to fill, on its device.
        sources: one or more, see `read_checkpoint`, of one or more networks each.
        classes: see `load_weights`.
        unseen: see `load_weights`.
        spacing: see `load_weights`.

    Returns:
        The network, or an `Ensemble` of all networks found.

    Raises:
        InputError: see `load_weights`.
    """
    given = [sources] if isinstance(sources, str | Path) else sources
    expected = (classes, unseen, spacing)
    found = [(state, source) for source in given for state in _checked_states(network, source, *expected)]
    if len(found) == 1:
        load_state(network, *found[0])
        return network
    learned = []
    for state, origin in found:
        load_state(network, state, origin)
        learned.append(learned_by(network))
    logging.getLogger(__name__).info("%d networks decide together: it takes as many times as long", len(found))
    return Ensemble(network, learned)


def load_state(network: nn.Module, state: State, source: str | Path) -> None:
    """Load a state dict of exactly this network.

    Args:
        network: to fill.
        state: its weights.
        source: where they come from, for messages.

    Raises:
        InputError: if names or shapes differ.
    """
    own = network.state_dict()
    wrong = [k for k, v in own.items() if k not in state or state[k].shape != v.shape] + [
        k for k in state if k not in own
    ]
    if wrong:
        raise InputError(
            f"{source} does not fit this network: {len(wrong)} tensors are missing, extra or of another shape, first "
            f"{wrong[0]}; use the configuration (such as the preset, labels and channels) it was trained with"
        )
    network.load_state_dict(state)
    logging.getLogger(__name__).info("loaded %d tensors from %s", len(own), source)


def _checked_states(
    network: nn.Module,
    source: str | Path,
    classes: Classes | None,
    unseen: Sequence[str],
    spacing: Sequence[float] | None,
) -> list[State]:
    checkpoint = read_checkpoint(source)
    plan = checkpoint.get("plan", {})
    check_classes(plan, classes, source)
    check_settings(plan, network, (*SHAPELESS, *OF_THE_WHOLE), source)
    check_spacing(plan, spacing, source)
    check_unseen(plan, unseen, source)
    return networks_in(checkpoint)
