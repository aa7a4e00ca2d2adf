"""The convolutions of nnFormer: into tokens, between the stages and back."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from .geometry import Triple


class Stem(nn.Module):
    """Embed an image by four convolutions of kernel 3, two of them strided (Sec. 3.2).

    Args:
        in_channels: image channels.
        dim: channels of a token.
        strides: of the first and the third convolution.
    """

    def __init__(self, in_channels: int, dim: int, strides: tuple[Triple, Triple]) -> None:
        super().__init__()
        half = dim // 2
        self.convs = nn.ModuleList(
            nn.Conv3d(i, o, 3, stride=s, padding=1)
            for i, o, s in (
                (in_channels, half, strides[0]),
                (half, half, (1, 1, 1)),
                (half, dim, strides[1]),
                (dim, dim, (1, 1, 1)),
            )
        )
        self.norms = nn.ModuleList(nn.LayerNorm(n) for n in (half, half, dim, dim))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Turn (B, C, D, H, W) voxels into (B, d, h, w, dim) tokens."""
        x = image.movedim(1, -1)
        for layer, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = convolve(conv, x)
            x = norm(x if layer == 3 else F.gelu(x))
        return x


class Down(nn.Module):
    """Enter the next stage: twice the channels on a coarser grid.

    Args:
        dim: channels of the finer stage.
        stride: 1 (kernel 1) or 2 (kernel 3) per axis.
        padding: per axis.
    """

    def __init__(self, dim: int, stride: Triple, padding: Triple) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        kernel = (2 * stride[0] - 1, 2 * stride[1] - 1, 2 * stride[2] - 1)
        self.conv = nn.Conv3d(dim, 2 * dim, kernel, stride=stride, padding=padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Turn (B, D, H, W, C) into (B, d, h, w, 2C)."""
        return self.reduce(self.activate(x))

    def activate(self, x: torch.Tensor) -> torch.Tensor:
        """Do what concerns each token alone."""
        return self.norm(F.gelu(x))

    def reduce(self, x: torch.Tensor) -> torch.Tensor:
        """Do what concerns neighbours."""
        return convolve(self.conv, x)


class Up(nn.Module):
    """Return to the finer stage: half the channels.

    Args:
        dim: channels of the coarser stage.
        stride: per axis.
        output_padding: 1 where the finer grid is odd.
    """

    def __init__(self, dim: int, stride: Triple, output_padding: Triple) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.conv = nn.ConvTranspose3d(dim, dim // 2, stride, stride=stride, output_padding=output_padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Turn (B, d, h, w, C) into (B, D, H, W, C/2)."""
        return convolve(self.conv, self.norm(x))


def convolve(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Apply a convolution to a map with channels last."""
    return conv(x.movedim(-1, 1)).movedim(1, -1)
