"""The parts of a network that fine-tuning treats differently."""

from __future__ import annotations

from typing import Any

from torch import nn


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Group trained parameters for an optimiser, each once.

    Args:
        network: with an `encoder` whose first layer is `encoder.stem`, or a module around it.

    Returns:
        Groups named "stem", "encoder" (without stem) and "decoder" (everything else).
    """
    groups: dict[str, list[nn.Parameter]] = {"stem": [], "encoder": [], "decoder": []}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            part = "stem" if "encoder.stem." in name else "encoder" if "encoder." in name else "decoder"
            groups[part].append(parameter)
    return [{"name": name, "params": parameters} for name, parameters in groups.items()]
