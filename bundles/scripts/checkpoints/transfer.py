"""Pretrained weights into a network for fine-tuning."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import InputError
from .adapt import adapted, is_of_another_grid
from .classes import Classes, same_classes
from .importers import imported
from .load import State
from .preprocessing import warn_of_other_preprocessing
from .read import networks_in, read_checkpoint
from .settings import SHAPELESS, check_settings, warn_of_other_strides
from .untrained import trained_tensors

PARTS = ("encoder", "encoder+decoder", "decoder")


def transfer_weights(
    network: nn.Module,
    pretrained: str | Path | None,
    parts: str = "encoder",
    classes: Classes | None = None,
    preprocessing: dict[str, Any] | None = None,
) -> nn.Module:
    """Start a network from a pretrained one, as the papers transfer (Spark3D, Tab. 3): the encoder, or more.

    The weights of a masked autoencoder are found under whatever prefix wraps the same network; those of vision
    transformers from elsewhere (see `imported`) by their names. A stem pretrained on one channel is repeated for
    several and divided by their number (Spark3D, Tab. 8): equal channels give equal features. Position tables of
    another grid are resampled. The head of a masked autoencoder or of a network for other classes is left out, also if
    its shape fits, and so is what a lean decoder did not train.

    Args:
        network: with submodules `encoder` and `decoder`, and the key prefixes `stem` and `head`; parts that are not
            transferred stay as they are.
        pretrained: see `read_checkpoint`; None leaves the network as it is.
        parts: "encoder" (with stem), "encoder+decoder" or "decoder".
        classes: label values by name, or those of each region, that the network shall tell apart.
        preprocessing: how scans are prepared here, see `warn_of_other_preprocessing`.

    Returns:
        The network.

    Raises:
        InputError: if `parts` is unknown, the encoder does not match, or nothing of the decoder does.
    """
    if parts not in PARTS:
        raise InputError(f"transfer is {parts!r}; allowed are {', '.join(PARTS)}")
    log = logging.getLogger(__name__)
    if pretrained is None:
        log.info("training from scratch: no pretrained weights given")
        return network
    # the library's modules hold some tensors under several names, of which these are the first
    once = {name for named in (network.named_parameters(), network.named_buffers()) for name, _ in named}
    own = {key: value for key, value in network.state_dict().items() if key in once}
    head: Any = network.head
    checkpoint = read_checkpoint(pretrained)
    plan = checkpoint.get("plan", {})
    if (count := len(networks_in(checkpoint))) > 1:
        log.info("%s holds %d networks that decide together: the first is taken", pretrained, count)
    source = _unwrapped(checkpoint["model"], first=next(key for key in own if _part(key) == "encoder"))
    source = trained_tensors(source, checkpoint["model"])
    check_settings(plan, network, SHAPELESS, pretrained)
    warn_of_other_strides(plan, network, pretrained)
    warn_of_other_preprocessing(plan, preprocessing or {}, pretrained)
    new_head = "method" in plan or (classes is not None and not same_classes(plan.get("classes", classes), classes))
    wanted = [key for key in own if _part(key) in parts.split("+")]
    heads = [key for key in wanted if new_head and key.startswith(head)]
    taken, fitted = _matching(network, {key: own[key] for key in wanted if key not in heads}, source, plan)
    skipped = [key for key in wanted if key not in taken]
    _check_enough(parts, wanted, skipped, source, own, pretrained)
    network.load_state_dict(taken, strict=False)
    log.info(
        "transferred %s from %s: %d tensors matched, %d adapted (%s), %d skipped (%s), %d left as initialised",
        parts,
        pretrained,
        len(taken) - len(fitted),
        len(fitted),
        ", ".join(fitted) or "none",
        len(skipped),
        ", ".join(skipped) or "none",
        len(own) - len(wanted),
    )
    new = [key for key in skipped if key.startswith(head)]
    if new:
        log.info("the head is new, for the classes %s: %s", ", ".join(classes or ()) or "unnamed", ", ".join(new))
    if plan.get("task") == "segmentation" and "decoder" not in parts:
        log.info("%s segments already: --transfer encoder+decoder would keep its decoder too", pretrained)
    return network


def _matching(network: nn.Module, own: State, source: State, plan: dict[str, Any]) -> tuple[State, list[str]]:
    """Return the tensors of `source` that the network takes, and the names of those that were adapted for it."""
    taken: State = {}
    fitted = []
    for key in [key for key in own if key in source]:
        same = source[key].shape == own[key].shape and not is_of_another_grid(network, key, source[key], plan)
        tensor = source[key] if same else adapted(network, key, source[key], own[key], plan)
        if tensor is not None:
            taken[key] = tensor
            fitted += [] if same else [key]
    return taken, fitted


def _check_enough(
    parts: str, wanted: list[str], skipped: list[str], source: State, own: State, pretrained: str | Path
) -> None:
    lost = [key for key in skipped if _part(key) == "encoder"]
    if lost:
        raise InputError(
            f"the encoder in {pretrained} does not match this network: {len(lost)} of "
            f"{sum(_part(key) == 'encoder' for key in wanted)} tensors differ, first {lost[0]} "
            f"({_shape(source.get(lost[0]))} in the file, {_shape(own[lost[0]])} here); use the same preset in both "
            "bundles"
        )
    if "decoder" in parts and not any(_part(key) == "decoder" for key in set(wanted) - set(skipped)):
        raise InputError(
            f"nothing of the decoder in {pretrained} fits this network, whose decoder is of another kind: give "
            "--transfer encoder"
        )


def _part(key: str) -> str:
    return key.split(".", 1)[0]


def _unwrapped(state: State, first: str) -> State:
    """Strip what wraps the network (`network.`, `module.`), which is what stands before its `first` key."""
    for key in state:
        if ("." + key).endswith("." + first) and ".decoder." not in "." + key:
            prefix = key.removesuffix(first)
            return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    foreign = imported(state)
    if foreign is None:
        raise InputError(
            f"the checkpoint has no encoder of this network (no tensor named {first}): give one that was pretrained "
            "with the same network, for a U-Net by spark3d_pretrain"
        )
    logging.getLogger(__name__).info("the checkpoint has the names of another project's ViT: its encoder is taken")
    return foreign


def _shape(tensor: torch.Tensor | None) -> str:
    return "absent" if tensor is None else str(tuple(tensor.shape))
