"""What a masked autoencoder predicts: the voxels as they are, or normalised cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from ..errors import check_flags
from .patches import patchify, unpatchify


class Targets(Protocol):
    """From an image to what is predicted of it, and back."""

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return what is predicted of an image (B, C, *size), in the same layout and at least float32."""

    def shown(self, prediction: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Return the prediction (B, C, *size) in the intensities of the image, for pictures."""


class VoxelTargets:
    """The voxels as they are (Spark3D)."""

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return the image itself."""
        return image.to(torch.promote_types(image.dtype, torch.float32))

    def shown(self, prediction: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Return the prediction itself."""
        return prediction


class CellNormalizedTargets:
    """Each cell minus its mean, over its standard deviation ("norm pix" of He et al., Sec. 4.1; SelfMedMAE, Sec. 3).

    Mean and variance are those of the whole cell, of all its channels jointly.

    Args:
        cell_size: voxels per cell and axis.
        eps: added to the variance.
        unbiased: divide the variance by one less than the number of voxels, as the code of He et al. does; SelfMedMAE's
            does not.
    """

    def __init__(self, cell_size: Sequence[int], eps: float = 1e-6, unbiased: bool = False) -> None:
        check_flags(unbiased=unbiased)
        self.cell_size = tuple(cell_size)
        self.eps = eps
        self.unbiased = unbiased

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return the normalised image (B, C, *size); cells must tile it."""
        cells, mean, deviation = self._cells(image)
        return unpatchify((cells - mean) / deviation, self.cell_size, image.shape[2:])

    def shown(self, prediction: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Return the prediction in intensities, by mean and deviation of each cell of the image.

        So do the pictures of the papers. For hidden cells these numbers are not predicted but known from the truth: a
        picture says how well the pattern inside a cell is met, not its brightness and contrast.
        """
        _, mean, deviation = self._cells(image)
        return unpatchify(patchify(prediction, self.cell_size) * deviation + mean, self.cell_size, image.shape[2:])

    def _cells(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the cells (B, n, voxels * C), and the mean and deviation (B, n, 1) of each."""
        cells = patchify(image.to(torch.promote_types(image.dtype, torch.float32)), self.cell_size)
        variance, mean = torch.var_mean(cells, dim=2, correction=int(self.unbiased), keepdim=True)
        return cells, mean, (variance + self.eps).sqrt()
