"""Pretrained tensors of another shape, where there is one sensible way to fit them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

IMAGE = "decoder.image."  # the decoder of a UNETR sees the image too
POSITIONS = ".position_embedding"
MODES = {2: "bilinear", 3: "trilinear"}


def adapted(
    network: nn.Module, key: str, given: torch.Tensor, own: torch.Tensor, plan: dict[str, Any]
) -> torch.Tensor | None:
    """Fit the stem of one channel to several, and position tables to another grid.

    Args:
        network: with `stem`, the stem's key prefixes, and for positions an `encoder.grid`.
        key: name of the tensor.
        given: pretrained.
        own: of the shape that is wanted.
        plan: of the pretraining, as its checkpoint has it.

    Returns:
        The fitted tensor, or None where it cannot be.
    """
    model: Any = network
    if key.startswith((*model.stem, IMAGE)):
        return repeated_stem(given, own)
    if key.endswith(POSITIONS) and given.dim() == 3 and given.shape[2] == own.shape[2]:
        return resampled_positions(
            given, grid_of(plan, given.shape[1] - 1, len(model.encoder.grid)), model.encoder.grid
        )
    return None


def is_of_another_grid(network: nn.Module, key: str, given: torch.Tensor, plan: dict[str, Any]) -> bool:
    """Tell whether these are positions of another grid than the network's, which may have as many patches."""
    if not key.endswith(POSITIONS) or planned_grid(plan) is None:
        return False
    model: Any = network
    grid = grid_of(plan, given.shape[1] - 1, len(model.encoder.grid))
    return grid is not None and grid != model.encoder.grid


def repeated_stem(given: torch.Tensor, own: torch.Tensor) -> torch.Tensor | None:
    """Repeat weights (E, 1, *kernel) for several channels, divided by their number: equal channels, equal features."""
    one_channel = given.dim() == own.dim() >= 4 and given.shape[1] == 1 and given.shape[0] == own.shape[0]
    if not one_channel or given.shape[2:] != own.shape[2:]:
        return None
    return given.expand_as(own) / own.shape[1]


def grid_of(plan: dict[str, Any], count: int, dims: int) -> tuple[int, ...] | None:
    """Return the grid of a pretrained table of `count` patches: that of the plan, or else one of equal sides."""
    grid = planned_grid(plan) or (round(count ** (1 / dims)),) * dims
    return grid if math.prod(grid) == count and len(grid) == dims else None


def planned_grid(plan: dict[str, Any]) -> tuple[int, ...] | None:
    """Return the patches per axis that a plan tells, None if it does not."""
    match plan.get("network"):
        case {"image_size": list(size), "patch_size": list(patch)} if len(size) == len(patch):
            return tuple(n // p for n, p in zip(size, patch, strict=True))
    return None


def resampled_positions(given: torch.Tensor, grid: Sequence[int] | None, wanted: Sequence[int]) -> torch.Tensor | None:
    """Resample a table (1, 1 + n, C) of `grid` linearly to the grid `wanted`; the class token's row stays."""
    if grid is None:
        return None
    token, table = given.float().split([1, math.prod(grid)], dim=1)
    volume = table.mT.unflatten(2, tuple(grid))
    volume = F.interpolate(volume, size=tuple(wanted), mode=MODES[len(grid)], align_corners=False)
    return torch.cat([token, volume.flatten(2).mT], dim=1)
