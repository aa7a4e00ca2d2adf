"""Pretrained weights into a network for fine-tuning."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import nn

from ..errors import InputError
from .read import read_checkpoint

State = dict[str, torch.Tensor]

STEM = "encoder.stem."
PARTS = ("encoder", "encoder+decoder", "decoder")


def load_weights(network: nn.Module, source: str | Path | None) -> nn.Module:
    """Load the weights of exactly this network.

    Args:
        network: to fill.
        source: see `read_checkpoint`; None leaves the network as it is.

    Returns:
        The network.

    Raises:
        InputError: if names or shapes differ.
    """
    if source is None:
        return network
    load_state(network, read_checkpoint(source)["model"], source)
    logging.getLogger(__name__).info("loaded %d tensors from %s", len(network.state_dict()), source)
    return network


def load_state(network: nn.Module, state: State, source: str | Path) -> None:
    """Load a state dict of exactly this network.

    Args:
        network: to fill.
        state: its weights.
        source: where they come from, for the message.

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
            f"{wrong[0]}; use the configuration (such as the preset) it was trained with"
        )
    network.load_state_dict(state)


def transfer_weights(network: nn.Module, pretrained: str | Path | None, parts: str = "encoder") -> nn.Module:
    """Start a network from a pretrained one, as the Spark3D paper transfers (Tab. 3): the encoder, or more.

    The weights of a masked autoencoder are found under whatever prefix wraps the same network. A stem pretrained on
    one channel is repeated for several and divided by their number (Tab. 8): equal channels give equal features.

    Args:
        network: with submodules `encoder` and `decoder`; parts that are not transferred stay as they are.
        pretrained: see `read_checkpoint`; None leaves the network as it is.
        parts: "encoder" (with stem), "encoder+decoder" or "decoder".

    Returns:
        The network.

    Raises:
        InputError: if `parts` is unknown, or the encoder does not match.
    """
    if parts not in PARTS:
        raise InputError(f"transfer is {parts!r}; allowed are {', '.join(PARTS)}")
    log = logging.getLogger(__name__)
    if pretrained is None:
        log.info("training from scratch: no pretrained weights given")
        return network
    # the library's decoder holds the encoder once more under its own name: the same tensors
    own = {key: value for key, value in network.state_dict().items() if not key.startswith("decoder.encoder.")}
    source = _unwrapped(read_checkpoint(pretrained)["model"])
    wanted = [key for key in own if _part(key) in parts.split("+")]
    taken: State = {}
    adapted, skipped = [], []
    for key in wanted:
        if key in source and source[key].shape == own[key].shape:
            taken[key] = source[key]
        elif key in source and key.startswith(STEM) and (stem := _adapt_stem(source[key], own[key])) is not None:
            taken[key] = stem
            adapted.append(key)
        else:
            skipped.append(key)
    lost = [key for key in skipped if _part(key) == "encoder"]
    if lost:
        raise InputError(
            f"the encoder in {pretrained} does not match this network: {len(lost)} of "
            f"{sum(_part(k) == 'encoder' for k in wanted)} tensors differ, first {lost[0]} "
            f"({_shape(source.get(lost[0]))} in the file, {_shape(own[lost[0]])} here); use the same preset in both "
            "bundles"
        )
    network.load_state_dict(taken, strict=False)
    log.info(
        "transferred %s from %s: %d tensors matched, %d adapted (%s), %d skipped (%s), %d left as initialised",
        parts,
        pretrained,
        len(taken) - len(adapted),
        len(adapted),
        ", ".join(adapted) or "none",
        len(skipped),
        ", ".join(skipped) or "none",
        len(own) - len(wanted),
    )
    return network


def _part(key: str) -> str:
    return key.split(".", 1)[0]


def _unwrapped(state: State) -> State:
    """Strip what wraps the network (`network.`, `module.`), which is what stands before `encoder.stem`."""
    for key in state:
        if key.startswith(STEM) or "." + STEM in key and ".decoder." not in "." + key:
            prefix = key[: key.index(STEM)]
            return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    raise InputError("the checkpoint has no encoder (no tensor named encoder.stem...): give one of spark3d_pretrain")


def _adapt_stem(given: torch.Tensor, own: torch.Tensor) -> torch.Tensor | None:
    one_channel = given.dim() == 5 and given.shape[1] == 1 and given.shape[0] == own.shape[0]
    if not one_channel or given.shape[2:] != own.shape[2:]:
        return None
    return given.expand_as(own) / own.shape[1]


def _shape(tensor: torch.Tensor | None) -> str:
    return "absent" if tensor is None else str(tuple(tensor.shape))
