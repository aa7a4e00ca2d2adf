"""Trading time for memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint


def run(function: Callable[..., torch.Tensor], *arguments: Any, checkpointing: bool) -> torch.Tensor:
    """Call a function; with `checkpointing` only its arguments are kept for the backward pass, which calls it again."""
    if not (checkpointing and torch.is_grad_enabled()):
        return function(*arguments)
    out: torch.Tensor = checkpoint(function, *arguments, use_reentrant=False)
    return out
