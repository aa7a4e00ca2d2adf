"""Reconstruction error where the network could not look."""

from __future__ import annotations

import torch
from torch import nn

from ..pretraining.masks import expand_mask
from ..pretraining.targets import Targets, VoxelTargets


class MaskedMSELoss(nn.Module):
    """Mean squared error over all hidden voxels of the batch (Spark3D, Sec. 4: L2 of the z-scored patch).

    Args:
        targets: what is predicted of the image, see `scripts.pretraining.targets`; None = its voxels as they are.
    """

    def __init__(self, targets: Targets | None = None) -> None:
        super().__init__()
        self.targets = targets or VoxelTargets()

    def forward(self, prediction: torch.Tensor, target: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Compute the loss.

        Args:
            prediction: (B, C, D, H, W), or of an image (B, C, H, W).
            target: the image (B, C, D, H, W) and the mask's cells (B, 1, d, h, w), True = hidden.

        Returns:
            A scalar.
        """
        image, mask = target
        hidden = expand_mask(mask, image.shape[2:])
        wanted = self.targets(image)
        error = (prediction.to(wanted.dtype) - wanted).square() * hidden
        return error.sum() / (hidden.sum() * image.shape[1])
