"""Reconstruction of whole volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from monai.inferers import Inferer

from ..pretraining.masks import cell_grid


class PatchwiseReconstruction(Inferer):
    """Reconstruct a masked volume patch by patch, each as the network met it in training.

    Args:
        patch_size: voxels per axis; volumes are multiples of it.
    """

    def __init__(self, patch_size: Sequence[int]) -> None:
        self.patch_size = tuple(patch_size)

    def __call__(self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """Predict the volume.

        Args:
            inputs: (B, C, D, H, W).
            network: called with a patch and its mask.
            mask: (B, 1, d, h, w) cells of the whole volume, True = hidden.

        Returns:
            (B, C, D, H, W).
        """
        patches = cell_grid(inputs.shape[2:], self.patch_size)
        cells = [m // p for m, p in zip(mask.shape[2:], patches, strict=True)]
        prediction = torch.zeros_like(inputs)
        for corner in np.ndindex(*patches):
            where, where_cells = _block(corner, self.patch_size), _block(corner, cells)
            prediction[where] = network(inputs[where], mask[where_cells]).to(prediction.dtype)
        return prediction


def _block(corner: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
    return (slice(None), slice(None), *(slice(c * n, (c + 1) * n) for c, n in zip(corner, size, strict=True)))
