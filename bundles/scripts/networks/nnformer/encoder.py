"""The encoder of nnFormer: all that pretraining transfers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..recompute import run
from .blocks import Block
from .geometry import Geometry
from .sampling import Down, Stem


class Encoder(nn.Module):
    """Stem, stages of attention, a convolution between two of them, and a norm on each stage's output.

    Args:
        in_channels: image channels.
        geometry: strides and windows.
        dim: channels of the first stage, doubled from stage to stage.
        num_heads: per stage.
        depths: blocks per stage; every second one is shifted.
        drop_path: rate of the last block, rising linearly from 0.
        checkpointing: compute activations again in the backward pass instead of keeping them.
        block: further arguments of `Block`.
    """

    def __init__(
        self,
        in_channels: int,
        geometry: Geometry,
        dim: int,
        num_heads: Sequence[int],
        depths: Sequence[int],
        drop_path: float,
        checkpointing: bool,
        **block: Any,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.depths = tuple(depths)
        self.dims = [dim * 2**stage for stage in range(len(depths))]
        rates = iter(np.linspace(0, drop_path, sum(depths)).tolist())
        self.stem = Stem(in_channels, dim, geometry.stem_strides)
        self.stages = nn.ModuleList(
            nn.ModuleList(
                Block(d, heads, window, shifted=i % 2 == 1, drop_path=next(rates), **block) for i in range(depth)
            )
            for d, heads, window, depth in zip(self.dims, num_heads, geometry.windows, depths, strict=True)
        )
        self.downs = nn.ModuleList(
            Down(d, stride, padding)
            for d, stride, padding in zip(self.dims, geometry.down_strides, geometry.down_paddings, strict=False)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(d) for d in self.dims)

    @property
    def num_layers(self) -> int:
        """Depths of `layer_of`: 0, one for each block, and one for all that follows."""
        return sum(self.depths) + 1

    def layer_of(self, name: str) -> int:
        """Return a parameter's depth for layer-wise decay of the learning rate: 0 = stem, then block by block.

        The convolution behind a stage counts with the stage's last block, the norms of the outputs with what follows.
        """
        match name.split("."):
            case ["encoder", "stem", *_]:
                return 0
            case ["encoder", "stages", stage, block, *_]:
                return sum(self.depths[: int(stage)]) + int(block) + 1
            case ["encoder", "downs", stage, *_]:
                return sum(self.depths[: int(stage) + 1])
        return self.num_layers

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Return the normed output (B, d, h, w, C_s) of each stage for an image (B, C, D, H, W)."""
        return self.from_tokens(run(self.stem, image, checkpointing=self.checkpointing))

    def from_tokens(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Do the same from the stem's output (B, d, h, w, C) on."""
        outputs = []
        for stage, norm in enumerate(self.norms):
            x = self.stage(stage, x)
            outputs.append(norm(x))
            if stage < len(self.downs):
                x = self.downs[stage](x)
        return outputs

    def stage(self, stage: int, x: torch.Tensor) -> torch.Tensor:
        """Run the blocks of a stage on a map (B, d, h, w, C)."""
        for block in self.stages[stage].children():
            x = run(block, x, checkpointing=self.checkpointing)
        return x
