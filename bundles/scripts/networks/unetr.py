"""UNETR: a vision transformer with a convolutional decoder (Hatamizadeh et al., WACV 2022), after SelfMedMAE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.blocks import UnetOutBlock, UnetrBasicBlock, UnetrPrUpBlock, UnetrUpBlock
from torch import nn

from ..errors import InputError, check_flags
from .vit import ViT, ViTNetwork


class UNETR(ViTNetwork):
    """Segment an image by the tokens of a ViT, decoded by MONAI's UNETR blocks.

    The class token takes part in attention and is left out of the maps that the decoder gets. Those come from the
    blocks in `skips`, without a norm, and from after the final norm.

    Args:
        in_channels: image channels.
        out_channels: classes including background.
        image_size: voxels per axis, two or three.
        patch_size: voxels of a patch, per axis the same power of two: each halving is a level of the decoder.
        feature_size: channels of the decoder at full resolution; they double from level to level.
        skips: numbers (from 0) of the blocks whose tokens are skips, one less than the decoder has levels, finest
            first; None = at equal distances, for 12 blocks and patches of 16 the authors' 3, 6, 9.
        positions: see `ViT`.
        drop_path: see `ViT`.
        deep_supervision: this network has none.
        **encoder: further arguments of `ViT`.

    Example:
        >>> net = UNETR(1, 3, (32, 32, 32), patch_size=8, feature_size=4, hidden_size=12, depth=2, num_heads=2)
        >>> net(torch.zeros(1, 1, 32, 32, 32)).shape
        torch.Size([1, 3, 32, 32, 32])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        image_size: Sequence[int],
        patch_size: int | Sequence[int] = 16,
        feature_size: int = 16,
        skips: Sequence[int] | None = None,
        positions: str = "learnable",
        drop_path: float = 0.1,
        deep_supervision: bool = False,
        **encoder: Any,
    ) -> None:
        check_flags(deep_supervision=deep_supervision)
        if deep_supervision:
            raise InputError("deep_supervision is True, but a UNETR predicts at full resolution only: set it to False")
        super().__init__(ViT(in_channels, image_size, patch_size, positions=positions, drop_path=drop_path, **encoder))
        levels = num_levels(self.encoder.patch_size)
        depth = len(self.encoder.blocks)
        self.skips = tuple(depth * level // levels for level in range(1, levels)) if skips is None else tuple(skips)
        if len(self.skips) != levels - 1 or not all(0 <= number < depth for number in self.skips):
            raise InputError(
                f"skips is {list(self.skips)}: give {levels - 1} numbers of blocks from 0 to {depth - 1}, or None"
            )
        self.decoder = UNETRDecoder(self.encoder, out_channels, feature_size, levels)
        self.out_channels = out_channels
        self.settings = {
            "name": "UNETR",
            **self.encoder.settings,
            "out_channels": out_channels,
            "feature_size": feature_size,
            "skips": list(self.skips),
        }

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Predict logits.

        Args:
            image: (B, C, *size).

        Returns:
            (B, out_channels, *size).
        """
        maps = [self.as_map(tokens) for tokens in self.encoder.states(image, after=self.skips)]
        return self.decoder(image, maps)

    def as_map(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return tokens (B, 1 + n, C) as a map (B, C, *grid), without the class token."""
        return tokens[:, 1:].mT.unflatten(2, self.encoder.grid)


class UNETRDecoder(nn.Module):
    """MONAI's convolutional part of UNETR (instance norm, residual blocks), for any number of levels.

    Args:
        encoder: whose tokens come in.
        out_channels: of the prediction.
        feature_size: channels at full resolution.
        levels: halvings from the image to the tokens.
    """

    def __init__(self, encoder: ViT, out_channels: int, feature_size: int, levels: int) -> None:
        super().__init__()
        channels = [feature_size * 2**level for level in range(levels)]
        common = {"spatial_dims": len(encoder.grid), "kernel_size": 3, "norm_name": "instance", "res_block": True}
        self.image = UnetrBasicBlock(in_channels=encoder.in_channels, out_channels=channels[0], stride=1, **common)
        self.skips = nn.ModuleList(
            UnetrPrUpBlock(
                in_channels=encoder.hidden_size,
                out_channels=channels[level],
                num_layer=levels - 1 - level,
                stride=1,
                upsample_kernel_size=2,
                conv_block=True,
                **common,
            )
            for level in range(1, levels)
        )
        self.ups = nn.ModuleList(
            UnetrUpBlock(in_channels=wide, out_channels=narrow, upsample_kernel_size=2, **common)
            for wide, narrow in zip([*channels[1:], encoder.hidden_size], channels, strict=True)
        )
        self.head = UnetOutBlock(len(encoder.grid), channels[0], out_channels)

    def forward(self, image: torch.Tensor, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Predict from an image (B, C, *size) and the encoder's maps (B, hidden_size, *grid), the finest skip first."""
        skips = [self.image(image), *(skip(tokens) for skip, tokens in zip(self.skips, maps[:-1], strict=True))]
        features = maps[-1]
        for up, skip in zip(reversed(self.ups), reversed(skips), strict=True):
            features = up(features, skip)
        return self.head(features)


def num_levels(patch_size: Sequence[int]) -> int:
    """Return how often a patch can be halved to one voxel.

    Raises:
        InputError: if it cannot, or not equally often along each axis.
    """
    side = patch_size[0]
    if set(patch_size) != {side} or side < 2 or side & (side - 1):
        raise InputError(f"a UNETR decodes tokens of 2, 4, 8, 16 or 32 voxels along each axis, not {list(patch_size)}")
    return side.bit_length() - 1
