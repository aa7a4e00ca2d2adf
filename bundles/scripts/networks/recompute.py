"""Trading time for memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from .bfloat16 import Bfloat16OnCPU


def run(function: Callable[..., torch.Tensor], *arguments: Any, checkpointing: bool) -> torch.Tensor:
    """Call a function; with `checkpointing` only its arguments are kept for the backward pass, which calls it again."""
    if not (checkpointing and torch.is_grad_enabled()):
        return function(*arguments)
    # the backward pass calls again outside of `on_device`; autocast it restores by itself
    modes: dict[str, Any] = (
        {"context_fn": lambda: (Bfloat16OnCPU(), Bfloat16OnCPU())} if torch.is_autocast_enabled("cpu") else {}
    )
    out: torch.Tensor = checkpoint(function, *arguments, use_reentrant=False, **modes)
    return out
