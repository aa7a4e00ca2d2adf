"""From the encoder's four maps to the image: what pretraining adds to nnFormer and leaves behind."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from monai.networks.blocks.pos_embed_utils import build_sincos_position_embedding
from torch import nn

from .geometry import Geometry, Triple, quotient
from .sampling import convolve


class Fusion(nn.Module):
    """Sum the outputs of all stages on the grid of the last but one, as Hiera: else the first would learn nothing.

    No kernel reaches beyond the voxels of a token of that grid, so visible units stay apart.

    Args:
        geometry: of the encoder.
        dims: channels per stage.
        dim: channels of the result.
    """

    def __init__(self, geometry: Geometry, dims: Sequence[int], dim: int) -> None:
        super().__init__()
        *finer, same, _ = geometry.strides
        ratios = [quotient(same, f) for f in finer]
        last = geometry.down_strides[-1]
        self.maps = nn.ModuleList(nn.Conv3d(d, dim, r, stride=r) for d, r in zip(dims, ratios, strict=False))
        self.maps.append(nn.Conv3d(dims[-2], dim, 1))
        self.maps.append(
            nn.ConvTranspose3d(dims[-1], dim, last, stride=last, output_padding=geometry.output_paddings[-1])
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Turn a map (N, d, h, w, C_s) per stage into one (N, d, h, w, dim)."""
        maps = [convolve(layer, x) for layer, x in zip(self.maps, features, strict=True)]
        return self.norm(torch.stack(maps).sum(dim=0))


class Predictor(nn.Module):
    """Predict each token's voxels by a few transformer blocks over all tokens, with fixed sine-cosine positions.

    Args:
        channels: of the image.
        token_size: voxels of a token per axis.
        dim: channels, a multiple of 6.
        depth: blocks.
        num_heads: heads.
    """

    def __init__(self, channels: int, token_size: Triple, dim: int, depth: int, num_heads: int) -> None:
        super().__init__()
        self.token_size = token_size
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim, num_heads, 4 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.voxels = nn.Linear(dim, channels * math.prod(token_size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Turn tokens (B, d, h, w, dim) into voxels (B, C, D, H, W)."""
        d, h, w, dim = x.shape[1:]
        tokens = x.flatten(1, 3) + build_sincos_position_embedding([d, h, w], dim).to(x)
        for block in self.blocks:
            tokens = block(tokens)
        i, j, k = self.token_size
        return rearrange(
            self.voxels(self.norm(tokens)),
            "b (d h w) (c i j k) -> b c (d i) (h j) (w k)",
            d=d, h=h, w=w, i=i, j=j, k=k,
        )  # fmt: skip
