"""Several trained networks that decide together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import nn

Learned = dict[str, torch.Tensor]


class Ensemble(nn.Module):
    """Average the logits of networks of one architecture, as nnU-Net does with the networks of its five folds.

    As one network it averages window by window; MONAI's `EnsembleEvaluator` keeps the logits of every network for the
    whole volume, which many classes on a large scan have no memory for. One network takes what each has learned in
    turn, so that what was done to it, such as `torch.compile`, holds for all.

    Args:
        network: on its device; it is for inference alone afterwards.
        learned: by each network, see `learned_by`.
    """

    def __init__(self, network: nn.Module, learned: Sequence[Learned]) -> None:
        super().__init__()
        self.network = network
        self.learned = learned

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return mean logits (B, classes, D, H, W), in single precision, for images (B, C, D, H, W)."""
        total: torch.Tensor | float = 0.0
        for learned in self.learned:  # one after another, so that memory does not grow with their number
            self._take(learned)
            total = total + self.network(image).float()
        return torch.as_tensor(total) / len(self.learned)

    @torch.no_grad()
    def _take(self, learned: Learned) -> None:
        for name, value in _tensors(self.network):
            value.copy_(learned[name])
        torch.clear_autocast_cache()  # of the weights in half precision, whose owners it takes to be as they were


def learned_by(network: nn.Module) -> Learned:
    """Return a copy of a network's parameters and buffers."""
    return {name: value.detach().clone() for name, value in _tensors(network)}


def _tensors(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    return chain(network.named_parameters(), network.named_buffers())
