"""Several trained networks that decide together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ..errors import InputError


class Ensemble(nn.Module):
    """Average the logits of networks of one architecture, as nnU-Net does with the networks of its five folds.

    As one network it averages window by window; MONAI's `EnsembleEvaluator` keeps the logits of every network for the
    whole volume, which many classes on a large scan have no memory for.

    Args:
        network: one of them, copied for the others; what each has learned is loaded afterwards.
        size: how many.
    """

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.members = nn.ModuleList([network, *(copy.deepcopy(network) for _ in range(size - 1))])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return mean logits (B, classes, D, H, W), in single precision, for images (B, C, D, H, W)."""
        first, *others = self.members
        total: torch.Tensor = first(image).float()
        for member in others:  # one after another, so that memory does not grow with their number
            total = total + member(image)
        return total / len(self.members)


def ensemble(network: nn.Module, checkpoint: str | Path | Sequence[str | Path]) -> nn.Module:
    """Make room for as many networks as there are checkpoints.

    Args:
        network: for one checkpoint.
        checkpoint: one, or a list of those that shall decide together.

    Returns:
        The network itself for one checkpoint, an `Ensemble` for a list.

    Raises:
        InputError: if the list is empty.
    """
    if isinstance(checkpoint, str | Path):
        return network
    if not checkpoint:
        raise InputError("checkpoint is an empty list: name one or more checkpoints, bundle folders or bundle zips")
    return Ensemble(network, len(checkpoint))
