"""What stands in hidden voxels before the decoder sees them (Spark3D paper, Sec. 4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from .cells import Cells, Shape
from .normalization import normalize


@dataclass(frozen=True)
class Filling:
    """How a stage is densified.

    Args:
        token: (1, C, 1, 1, 1) that stands in hidden voxels, None = zero.
        densify: whether features are normalised and convolved.
        convolution: 3x3x3, applied to the filled features; None at full resolution.
    """

    token: torch.Tensor | None
    densify: bool
    convolution: nn.Conv3d | None

    @property
    def reach(self) -> int:
        """Voxels that a visible voxel's influence spreads."""
        return 0 if self.convolution is None else 1

    def volume(self, features: torch.Tensor, where: Cells | None) -> torch.Tensor:
        """Fill and convolve the whole volume.

        Args:
            features: (N, C, d, h, w) on cells, or (B, C, D, H, W) if nothing is hidden.
            where: the cells, None if nothing is hidden.

        Returns:
            (B, C, D, H, W).
        """
        if self.densify:
            features = normalize(features, where)
        if where is not None:
            features = where.scatter(features, 0.0 if self.token is None else self.token.flatten())
        elif self.token is not None:
            features = features + 0 * self.token.to(features.dtype)  # distributed training waits for every gradient
        return features if self.convolution is None else self.convolution(features)

    def constant(self, channels: int, size: Shape, like: torch.Tensor) -> torch.Tensor:
        """Return (1, C, *size), a volume of which everything is hidden, on the device of `like`."""
        filled = like.new_zeros(1, channels, *size) if self.token is None else self.token.expand(1, channels, *size)
        return filled if self.convolution is None else self.convolution(filled)

    def difference(self, features: torch.Tensor, where: Cells) -> torch.Tensor:
        """Return by how much each cell changes the volume in which everything is hidden, beyond its sides as well.

        Args:
            features: (N, C, d, h, w) on cells.
            where: the cells.

        Returns:
            (N, C, d, h, w), wider by `reach` on each side, zero outside the volume; overlapping cells add.
        """
        token = None if self.token is None else self.token.flatten()
        if self.densify:
            shift = None if token is None else -token
            scale = None if token is None else torch.ones_like(token)
            features = normalize(features, where, scale, shift)
        elif token is not None:
            features = features - token.to(features.dtype).view(1, -1, 1, 1, 1)
        if self.convolution is None:
            return features
        size = (features.shape[2], features.shape[3], features.shape[4])
        spread = F.conv3d(features, self.convolution.weight, padding=2)
        return spread * where.inside(size, self.reach).to(spread.dtype)
