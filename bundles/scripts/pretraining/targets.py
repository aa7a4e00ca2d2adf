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

    Args:
        cell_size: voxels per cell and axis.
        eps: added to the variance.
        unbiased: divide the variance by one less than the number of voxels, as the code of He et al. does; SelfMedMAE's
            does not.
        per_channel: take mean and variance of each channel by itself, so that contrasts of an MRI weigh alike, instead
            of all channels of the cell jointly, as for the colours of a picture.
    """

    def __init__(
        self, cell_size: Sequence[int], eps: float = 1e-6, unbiased: bool = False, per_channel: bool = False
    ) -> None:
        check_flags(unbiased=unbiased, per_channel=per_channel)
        self.cell_size = tuple(cell_size)
        self.eps = eps
        self.unbiased = unbiased
        self.axes = (2,) if per_channel else (2, 3)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return the normalised image (B, C, *size); cells must tile it."""
        cells, mean, deviation = self._cells(image)
        return self._joined((cells - mean) / deviation, image)

    def shown(self, prediction: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Return the prediction in intensities, by mean and deviation of each cell of the image.

        For hidden cells these numbers are not predicted but known from the truth: a
        picture says how well the pattern inside a cell is met, not its brightness and contrast.
        """
        _, mean, deviation = self._cells(image)
        return self._joined(self._split(prediction) * deviation + mean, image)

    def _cells(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the cells (B, n, voxels, C), and the mean and deviation (B, n, 1, C or 1) of each."""
        cells = self._split(image.to(torch.promote_types(image.dtype, torch.float32)))
        variance, mean = torch.var_mean(cells, dim=self.axes, correction=int(self.unbiased), keepdim=True)
        return cells, mean, (variance + self.eps).sqrt()

    def _split(self, image: torch.Tensor) -> torch.Tensor:
        return patchify(image, self.cell_size).unflatten(2, (-1, image.shape[1]))

    def _joined(self, cells: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        return unpatchify(cells.flatten(2), self.cell_size, image.shape[2:])
