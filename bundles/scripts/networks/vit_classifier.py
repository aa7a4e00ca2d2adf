"""A vision transformer that classifies images, as SelfMedMAE and He et al. fine-tune."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .vit import ViT, ViTNetwork


class ViTClassifier(ViTNetwork):
    """Predict logits of findings from the class token after the encoder's norm, as SelfMedMAE does.

    Args:
        in_channels: image channels.
        out_channels: findings, one logit each.
        image_size: pixels or voxels per axis, two or three.
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
        positions: str = "learnable",
        drop_path: float = 0.1,
        **encoder: Any,
    ) -> None:
        super().__init__(ViT(in_channels, image_size, positions=positions, drop_path=drop_path, **encoder))
        self.out_channels = out_channels
        head = nn.Linear(self.encoder.hidden_size, out_channels)
        self.decoder = nn.Sequential(OrderedDict(head=head))
        # nearly zero, as in facebookresearch/mae: the first steps are not spent on unlearning random logits
        nn.init.trunc_normal_(head.weight, std=2e-5)
        nn.init.zeros_(head.bias)
        self.settings = {"name": "ViTClassifier", **self.encoder.settings, "out_channels": out_channels}

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Predict logits.

        Args:
            image: (B, C, *size).

        Returns:
            (B, out_channels).
        """
        return self.decoder(self.encoder(image)[:, 0])
