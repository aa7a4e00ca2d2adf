"""Random inputs of a masked step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from scripts.pretraining.masks import cell_grid, draw_mask


def example(
    size: Sequence[int],
    cell_size: Sequence[int],
    ratios: Sequence[float],
    batch_size: int,
    device: str,
    channels: int = 1,
) -> tuple[torch.Tensor, dict[float, torch.Tensor]]:
    """Return a random image (B, C, *size) and a mask for each share of hidden cells."""
    rng = np.random.default_rng(0)
    grid = cell_grid(size, cell_size)
    masks = {r: torch.stack([draw_mask(grid, r, rng) for _ in range(batch_size)]).to(device) for r in ratios}
    image = torch.randn(batch_size, channels, *size, generator=torch.Generator().manual_seed(0))
    return image.to(device), masks
