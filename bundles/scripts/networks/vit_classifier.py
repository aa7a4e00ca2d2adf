"""A vision transformer that classifies images, as SelfMedMAE and He et al. fine-tune."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..errors import InputError
from .vit import ViT, ViTNetwork

POOLINGS = ("token", "mean")


class ViTClassifier(ViTNetwork):
    """Predict logits of findings from the class token, or from the mean of the patches' tokens.

    Args:
        in_channels: image channels.
        out_channels: findings, one logit each.
        image_size: pixels or voxels per axis, two or three.
        pooling: "token" (after the encoder's norm; SelfMedMAE) or "mean" (of the last block's patches, then a norm of
            its own, as facebookresearch/mae fine-tunes; the encoder's final norm is not used and not trained).
        positions: see `ViT`.
        drop_path: see `ViT`.
        **encoder: further arguments of `ViT`.

    Example:
        >>> net = ViTClassifier(3, 14, (32, 32), hidden_size=12, depth=1, num_heads=2)
        >>> net(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 14])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        image_size: Sequence[int],
        pooling: str = "token",
        positions: str = "learnable",
        drop_path: float = 0.1,
        **encoder: Any,
    ) -> None:
        if pooling not in POOLINGS:
            raise InputError(f"pooling is {pooling!r}; allowed are {', '.join(POOLINGS)}")
        super().__init__(ViT(in_channels, image_size, positions=positions, drop_path=drop_path, **encoder))
        width, mean = self.encoder.hidden_size, pooling == "mean"
        self.pooling = pooling
        self.out_channels = out_channels
        head = nn.Linear(width, out_channels)
        self.decoder = nn.Sequential(
            OrderedDict(norm=nn.LayerNorm(width, eps=1e-6) if mean else nn.Identity(), head=head)
        )
        # nearly zero, as in facebookresearch/mae: the first steps are not spent on unlearning random logits
        nn.init.trunc_normal_(head.weight, std=2e-5)
        nn.init.zeros_(head.bias)
        # without this DDP would wait for a gradient that never comes
        self.encoder.norm.requires_grad_(not mean)
        self.settings = {
            "name": "ViTClassifier",
            **self.encoder.settings,
            "out_channels": out_channels,
            "pooling": pooling,
        }

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Predict logits.

        Args:
            image: (B, C, *size).

        Returns:
            (B, out_channels).
        """
        last, final = self.encoder.states(image, after=[len(self.encoder.blocks) - 1])
        return self.decoder(final[:, 0] if self.pooling == "token" else last[:, 1:].mean(1))
