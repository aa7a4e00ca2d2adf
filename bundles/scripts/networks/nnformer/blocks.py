"""The transformer block of nnFormer: attention and MLP, each after a norm and around a residual."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from monai.networks.blocks.mlp import MLPBlock
from monai.networks.layers.drop_path import DropPath
from torch import nn

from .attention import WindowAttention
from .window import grid_of, merge, partition, separation


class Block(nn.Module):
    """Attention within windows (LV-MSA, shifted SLV-MSA) or, where the window is the grid, of all tokens (GV-MSA).

    A grid is padded at the end to whole windows. Axes along which the window covers the grid are not shifted.

    Args:
        dim: channels.
        num_heads: heads.
        window: tokens per axis.
        shifted: roll the grid by half a window.
        drop_path: probability of leaving out a residual branch of a sample while training.
        cross: skip attention: the map attends to the encoder's of the same grid (Sec. 3.4).
        shift_mask: keep apart what the roll brings together.
        quirks: as in the official code index the bias table differently and let tokens attend to padding.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window: Sequence[int],
        shifted: bool = False,
        drop_path: float = 0.0,
        cross: bool = False,
        shift_mask: bool = True,
        quirks: bool = False,
    ) -> None:
        super().__init__()
        self.window = tuple(window)
        self.shifted = shifted
        self.shift_mask = shift_mask
        self.quirks = quirks
        self.norm1 = nn.LayerNorm(dim)
        self.attention = WindowAttention(dim, num_heads, window, cross, quirks)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLPBlock(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        """Transform a map.

        Args:
            x: (B, D, H, W, C).
            skip: the encoder's map, for skip attention.

        Returns:
            (B, D, H, W, C).
        """
        grid = grid_of(x)
        shift = [w // 2 if self.shifted and w < n else 0 for w, n in zip(self.window, grid, strict=True)]
        bias = self.attention.bias()
        apart = separation(grid, self.window, shift, self.shift_mask, not self.quirks, x.device)
        if apart is not None:
            bias = bias + apart[:, None].type_as(bias)  # to its device too, where a trace from a CPU runs elsewhere
        normed = self._windows(self.norm1(x), shift)
        if skip is None:
            attended = self.attention(normed, bias)
        else:
            attended = self.attention(self._windows(self.norm1(skip), shift), bias, query=normed)
            x = x + skip
        return self._residuals(x, self._grid(attended, grid, shift))

    def forward_tokens(self, tokens: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Transform scattered tokens, of which each attends to all: what `forward` does if the window is the grid.

        Args:
            tokens: (B, N, C).
            index: (B, N, N), `relative_index` of their positions.

        Returns:
            (B, N, C).
        """
        bias = self.attention.bias(index)[:, None]
        return self._residuals(tokens, self.attention(self.norm1(tokens)[:, None], bias)[:, 0])

    def _residuals(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        x = x + self.drop_path(attended)
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def _windows(self, x: torch.Tensor, shift: Sequence[int]) -> torch.Tensor:
        missing = [-n % w for n, w in zip(grid_of(x), self.window, strict=True)]
        if any(missing):
            x = F.pad(x, (0, 0, 0, missing[2], 0, missing[1], 0, missing[0]))
        if any(shift):
            x = x.roll([-s for s in shift], dims=(1, 2, 3))
        return partition(x, self.window)

    def _grid(self, windows: torch.Tensor, grid: Sequence[int], shift: Sequence[int]) -> torch.Tensor:
        x = merge(windows, self.window, [-(-n // w) * w for n, w in zip(grid, self.window, strict=True)])
        if any(shift):
            x = x.roll(list(shift), dims=(1, 2, 3))
        return x[:, : grid[0], : grid[1], : grid[2]]
