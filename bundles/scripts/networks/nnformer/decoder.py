"""The decoder of nnFormer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..recompute import run
from .blocks import Block
from .geometry import Geometry
from .sampling import Up, convolve


class Decoder(nn.Module):
    """Per stage a transposed convolution, skip attention to the encoder's map, shifted attention, and a head.

    Stages are numbered as the encoder's, 0 the finest.

    Args:
        out_channels: classes.
        geometry: strides and windows.
        dim: channels of the first stage.
        num_heads: per stage.
        depths: blocks per stage.
        num_outputs: stages that have a head, from the finest.
        drop_path: rate of the last block, rising linearly from 0 at the deepest stage.
        checkpointing: compute activations again in the backward pass instead of keeping them.
        block: further arguments of `Block`.
    """

    def __init__(
        self,
        out_channels: int,
        geometry: Geometry,
        dim: int,
        num_heads: Sequence[int],
        depths: Sequence[int],
        num_outputs: int,
        drop_path: float,
        checkpointing: bool,
        **block: Any,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        dims = [dim * 2**stage for stage in range(len(depths))]
        rates = np.linspace(0, drop_path, sum(depths)).tolist()
        self.ups = nn.ModuleList(
            Up(2 * d, stride, padding)
            for d, stride, padding in zip(dims, geometry.down_strides, geometry.output_paddings, strict=True)
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(
                Block(
                    d,
                    num_heads[stage],
                    geometry.windows[stage],
                    shifted=i > 0,
                    drop_path=rates[sum(depths[stage + 1 :]) + i],
                    cross=i == 0,
                    **block,
                )
                for i in range(depths[stage])
            )
            for stage, d in enumerate(dims)
        )
        size = geometry.strides[0]
        self.heads = nn.ModuleList(nn.ConvTranspose3d(d, out_channels, size, stride=size) for d in dims[:num_outputs])

    def forward(self, features: Sequence[torch.Tensor], num_outputs: int = 1) -> list[torch.Tensor]:
        """Return logits of the finest `num_outputs` stages, full resolution (B, classes, D, H, W) first.

        Args:
            features: the encoder's output.
            num_outputs: how many; each is half as fine as the one before.
        """
        x = features[-1]
        outputs: list[torch.Tensor] = []
        for stage in reversed(range(len(self.stages))):
            x = self.ups[stage](x)
            for i, block in enumerate(self.stages[stage].children()):
                inputs = (x, features[stage]) if i == 0 else (x,)
                x = run(block, *inputs, checkpointing=self.checkpointing)
            if stage < num_outputs:
                outputs.insert(0, convolve(self.heads[stage], x).movedim(-1, 1))
        return outputs
