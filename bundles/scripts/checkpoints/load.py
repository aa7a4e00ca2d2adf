"""Weights of exactly this network, for evaluation and inference."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import InputError
from ..networks.ensemble import Ensemble, learned_by
from .classes import Classes, check_classes
from .preprocessing import check_mirroring, check_spacing, contradiction, preparation, warn_of_other_preprocessing
from .read import networks_in, read_checkpoint
from .seen import check_unseen, check_unseen_images
from .settings import OF_THE_WHOLE, SHAPELESS, check_settings

State = dict[str, torch.Tensor]


def load_weights(network: nn.Module, source: str | Path | None, **use: Any) -> nn.Module:
    """Load the weights of exactly this network.

    Args:
        network: to fill.
        source: see `read_checkpoint`, of one network; None leaves the network as it is.
        use: what it is to do, see `check_plan`.

    Returns:
        The network.

    Raises:
        InputError: if names or shapes differ, `check_plan` finds it unfit, or the file holds several networks.
    """
    if source is None:
        return network
    states = networks_in(_checked(network, source, **use))
    if len(states) > 1:
        raise InputError(f"{source} holds {len(states)} networks that decide together: this task runs one at a time")
    load_state(network, states[0], source)
    return network


def load_ensemble(network: nn.Module, sources: str | Path | Sequence[str | Path], **use: Any) -> nn.Module:
    """Load the weights of this network, or those of several of its kind that decide together.

    Args:
        network: to fill, on its device.
        sources: one or more, see `read_checkpoint`, of one or more networks each.
        use: see `load_weights`.

    Returns:
        The network, or an `Ensemble` of all networks found.

    Raises:
        InputError: see `load_weights`; also if they were trained on other channels or intensities than each other.
    """
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    contents = [_checked(network, source, **use) for source in given]
    if two := contradiction([preparation(content.get("plan", {})) for content in contents]):
        source, other = (given[number] for number in two)
        raise InputError(
            f"{source} and {other} tell of other channels or intensities: networks that decide together see the same "
            "image, so give those of one kind"
        )
    found = [(state, source) for source, content in zip(given, contents, strict=True) for state in networks_in(content)]
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


def check_plan(
    plan: dict[str, Any],
    network: nn.Module,
    source: str | Path,
    classes: Classes | None = None,
    unseen: Sequence[str] = (),
    unseen_images: dict[str, str] | None = None,
    spacing: Sequence[float] | None = None,
    mirror_axes: Sequence[int] = (),
    preprocessing: dict[str, Any] | None = None,
) -> None:
    """Refuse weights that were trained for something else, as far as their plan tells; warn of other intensities.

    Args:
        plan: of the checkpoint, see `TrainingCheckpoint`.
        network: to fill.
        source: where the weights come from, for messages.
        classes: those that it shall tell apart, if any, see `check_classes`.
        unseen: marks of cases that it must not have been trained on, see `check_unseen`.
        unseen_images: names by marks of cases on whose images it should not have been pretrained, see
            `check_unseen_images`.
        spacing: of the voxels that it shall see, in mm, if known, see `check_spacing`.
        mirror_axes: along which predictions are averaged, see `check_mirroring`.
        preprocessing: how scans are prepared here, see `warn_of_other_preprocessing`.

    Raises:
        InputError: if classes, settings or spacing differ, such a case is among those that trained it, or it was not
            trained on such mirror images.
    """
    check_classes(plan, classes, source)
    check_settings(plan, network, (*SHAPELESS, *OF_THE_WHOLE), source)
    check_spacing(plan, spacing, source)
    check_mirroring(plan, mirror_axes, source)
    check_unseen(plan, unseen, source)
    check_unseen_images(plan, unseen_images or {}, source)
    warn_of_other_preprocessing(plan, preprocessing or {}, source)


def _checked(network: nn.Module, source: str | Path, **use: Any) -> dict[str, Any]:
    checkpoint = read_checkpoint(source)
    check_plan(checkpoint.get("plan", {}), network, source, **use)
    return checkpoint
