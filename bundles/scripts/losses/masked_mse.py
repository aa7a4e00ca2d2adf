"""Reconstruction error where the network could not look."""

from __future__ import annotations

import torch
from torch import nn

from ..pretraining.masks import expand_mask


class MaskedMSELoss(nn.Module):
    """Mean squared error over all hidden voxels of the batch (Spark3D, Sec. 4: L2 of the z-scored patch)."""

    def forward(self, prediction: torch.Tensor, target: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Compute the loss.

        Args:
            prediction: (B, C, D, H, W).
            target: the image (B, C, D, H, W) and the mask's cells (B, 1, d, h, w), True = hidden.

        Returns:
            A scalar.
        """
        image, mask = target
        hidden = expand_mask(mask, image.shape[2:])
        error = (prediction.float() - image.float()).square() * hidden
        return error.sum() / (hidden.sum() * image.shape[1])
