"""Windows of tokens: cutting a grid into them, their relative positions, and who sees whom."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange

MASKED = -100.0  # added to a logit, as in Swin and nnFormer


def grid_of(x: torch.Tensor) -> tuple[int, int, int]:
    """Return tokens per axis of (B, D, H, W, C) as plain numbers, also while tracing."""
    return int(x.shape[1]), int(x.shape[2]), int(x.shape[3])


def partition(x: torch.Tensor, window: Sequence[int]) -> torch.Tensor:
    """Cut (B, D, H, W, C) into (B, number of windows, tokens of a window, C)."""
    i, j, k = window
    return rearrange(x, "b (d i) (h j) (w k) c -> b (d h w) (i j k) c", i=i, j=j, k=k)


def merge(windows: torch.Tensor, window: Sequence[int], grid: Sequence[int]) -> torch.Tensor:
    """Undo `partition` of a grid of (D, H, W) tokens."""
    i, j, k = window
    d, h, _ = (n // w for n, w in zip(grid, window, strict=True))
    return rearrange(windows, "b (d h w) (i j k) c -> b (d i) (h j) (w k) c", d=d, h=h, i=i, j=j, k=k)


def coordinates(grid: Sequence[int], device: torch.device | None = None) -> torch.Tensor:
    """Return the positions (D*H*W, 3) of a grid, last axis fastest."""
    axes = [torch.arange(n, device=device) for n in grid]
    return torch.stack(torch.meshgrid(axes, indexing="ij"), dim=-1).flatten(0, 2)


def relative_index(positions: torch.Tensor, window: Sequence[int], quirks: bool = False) -> torch.Tensor:
    """Return for each pair of tokens the row of the bias table that belongs to their offset.

    Args:
        positions: (..., N, 3), no two of them a window or more apart.
        window: tokens per axis; the table has a row for each of the prod(2w - 1) offsets.
        quirks: count rows as the official code does, 3w - 1 per step along the first axis where (2w - 1)^2 is
            meant: unrelated offsets then share a row.

    Returns:
        (..., N, N), of query and key.
    """
    _, h, w = window
    factors = (3 * h - 1, 2 * h - 1, 1) if quirks else ((2 * h - 1) * (2 * w - 1), 2 * w - 1, 1)
    offsets = positions.unsqueeze(-2) - positions.unsqueeze(-3)
    return sum((offsets[..., a] + window[a] - 1) * factors[a] for a in range(3))  # type: ignore[return-value]


def separation(
    grid: Sequence[int],
    window: Sequence[int],
    shift: Sequence[int],
    wrapped: bool = True,
    padded: bool = True,
    device: torch.device | None = None,
) -> torch.Tensor | None:
    """Return what keeps tokens of a window apart that are no neighbours in the image.

    Args:
        grid: tokens per axis before padding at the end to multiples of the window.
        window: tokens per axis.
        shift: by how many tokens the padded grid is rolled towards the start.
        wrapped: separate what the roll brings together from opposite ends.
        padded: separate padding from tokens.
        device: where to put it.

    Returns:
        (number of windows, N, N), 0 or `MASKED`, to add to the logits; None where nothing has to be kept apart.
    """
    full = [-(-n // w) * w for n, w in zip(grid, window, strict=True)]
    padded = padded and full != list(grid)
    wrapped = wrapped and any(shift)
    if not padded and not wrapped:
        return None
    regions = torch.zeros(*full, dtype=torch.long, device=device)
    for axis, (n, end, s) in enumerate(zip(grid, full, shift, strict=True)):
        place = torch.arange(end, device=device)
        label = (place >= end - s).long() if wrapped else torch.zeros_like(place)
        if padded:
            label = torch.where((place + s) % end >= n, 2, label)
        regions = 3 * regions + label.view([-1 if a == axis else 1 for a in range(3)])
    ids = partition(regions[None, ..., None], window)[0, ..., 0]
    return (ids[:, :, None] != ids[:, None, :]) * MASKED
