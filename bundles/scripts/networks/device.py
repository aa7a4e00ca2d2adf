"""Where, and in what precision, a network computes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import nn

from ..errors import check_flags
from .bfloat16 import Bfloat16OnCPU


def on_device(network: nn.Module, device: torch.device | str, amp: bool = False) -> nn.Module:
    """Put a network on its device, and let it compute in bfloat16 if that is a CPU and mixed precision is wanted.

    On a GPU mixed precision is the matter of MONAI's engines, which know no other device. Outputs are float32, so that
    losses and metrics are computed as without.

    Args:
        network: changed in place; its weights stay float32.
        device: to compute on.
        amp: mixed precision.

    Returns:
        The network.
    """
    check_flags(amp=amp)
    network.to(device)
    if amp and torch.device(device).type == "cpu":
        network.forward = _in_bfloat16(network.forward)
    return network


def _in_bfloat16(forward: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(forward)
    def run(*arguments: Any, **named: Any) -> torch.Tensor | list[torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16), Bfloat16OnCPU():
            output = forward(*arguments, **named)
        return [part.float() for part in output] if isinstance(output, list) else output.float()

    return run
