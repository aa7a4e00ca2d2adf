"""What follows a convolution in a layer: dropout, normalisation, activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .cells import Cells
from .normalization import normalize


def finish(
    modules: Sequence[nn.Module], features: torch.Tensor, where: Cells | None, shortcut: torch.Tensor | None = None
) -> torch.Tensor:
    """Run a layer's modules after its convolution; the normalisation takes a leaky ReLU along.

    Args:
        modules: of the layer.
        features: (N, C, d, h, w).
        where: the cells, None for whole volumes.
        shortcut: (N, C, d, h, w), added after the normalisation.

    Returns:
        (N, C, d, h, w).
    """
    slope = next((float(module.negative_slope) for module in modules if isinstance(module, nn.LeakyReLU)), 1.0)
    for module in modules:
        if isinstance(module, nn.InstanceNorm3d):
            features = normalize(features, where, module.weight, module.bias, module.eps, slope, shortcut)
        elif isinstance(module, nn.Dropout3d) and where is not None:
            features = _drop(module, features, where)
        elif not isinstance(module, nn.LeakyReLU):
            features = module(features)
    return features


def _drop(dropout: nn.Dropout3d, features: torch.Tensor, where: Cells) -> torch.Tensor:
    """Drop the same channels in all cells of a sample."""
    kept: Any = dropout(features.new_ones(where.batch, features.shape[1], 1, 1, 1))
    return features * kept[where.index[0]]
