"""The parts of a network that an optimiser treats differently."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..errors import InputError, check_flags


def parameter_groups(
    network: nn.Module, layer_decay: float | None = None, weight_decay_1d: bool = True
) -> list[dict[str, Any]]:
    """Group trained parameters for an optimiser, each once.

    Args:
        network: with the key prefixes `stem`, `num_layers`, `layer_of` and `no_weight_decay`, as the networks of this
            package have them, or DDP's wrapper around it.
        layer_decay: learning rate of each layer relative to the one after it (SelfMedMAE: 0.75); None = all alike.
        weight_decay_1d: let weight decay act on all parameters; False spares those of one dimension (biases, norms)
            and those with a name of `no_weight_decay` in theirs (positions, tokens).

    Returns:
        Groups with the `name` "stem", "encoder" (without stem) or "decoder" (everything else), their `lr_scale`
        (layer_decay ** (num_layers - layer), see `PhasedSchedule`) and a `weight_decay` of 0 where there shall be none.
        Several have one name where those differ.

    Raises:
        InputError: if `layer_decay` is not between 0 and 1.
    """
    check_flags(weight_decay_1d=weight_decay_1d)
    if layer_decay is not None and not (isinstance(layer_decay, (int, float)) and 0 < layer_decay <= 1):
        raise InputError(f"layer_decay is {layer_decay!r}; give a number above 0 and up to 1, or None for equal rates")
    inner: Any = getattr(network, "module", network)
    groups: dict[tuple[str, float, bool], dict[str, Any]] = {}
    for part in ("stem", "encoder", "decoder"):
        for name, parameter in inner.named_parameters():
            if not parameter.requires_grad or part_of(name, inner.stem) != part:
                continue
            scale = 1.0 if layer_decay is None else layer_decay ** (inner.num_layers - inner.layer_of(name))
            spared = parameter.dim() == 1 or any(listed in name for listed in inner.no_weight_decay)
            decays = weight_decay_1d or not spared
            fresh: dict[str, Any] = {
                "name": part,
                "lr_scale": scale,
                "params": [],
                **({} if decays else {"weight_decay": 0.0}),
            }
            groups.setdefault((part, scale, decays), fresh)["params"].append(parameter)
    return list(groups.values())


def part_of(name: str, stem: tuple[str, ...]) -> str:
    """Return which part a parameter belongs to: "stem", "encoder" or "decoder"."""
    if name.startswith(stem):
        return "stem"
    return "encoder" if "encoder" in name.split(".") else "decoder"
