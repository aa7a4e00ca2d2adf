"""Reconstruction of whole volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
from monai.inferers import Inferer

from ..errors import InputError


class PatchwiseReconstruction(Inferer):
    """Reconstruct a masked volume patch by patch, each as the network met it in training.

    The last patch of an axis is shifted inwards; where patches overlap, the mean of their predictions counts.

    Args:
        patch_size: voxels per axis.
    """

    def __init__(self, patch_size: Sequence[int]) -> None:
        self.patch_size = tuple(patch_size)

    def __call__(self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """Predict the volume.

        Args:
            inputs: (B, C, *size), at least a patch, sides multiples of the cells'.
            network: called with a patch and its mask.
            mask: (B, 1, *grid) cells of the whole volume, True = hidden.

        Returns:
            (B, C, *size).

        Raises:
            InputError: if the volume is smaller than a patch.
        """
        size = inputs.shape[2:]
        if any(n < p for n, p in zip(size, self.patch_size, strict=True)):
            raise InputError(
                f"an image of {list(size)} voxels is smaller than patch_size {list(self.patch_size)}: pad it, or give "
                "a smaller patch_size"
            )
        cell = [n // cells for n, cells in zip(size, mask.shape[2:], strict=True)]
        total, count = torch.zeros_like(inputs), torch.zeros_like(inputs)
        for corner in product(*(patch_starts(n, p) for n, p in zip(size, self.patch_size, strict=True))):
            box = list(zip(corner, self.patch_size, cell, strict=True))
            voxels = (slice(None), slice(None), *(slice(start, start + n) for start, n, _ in box))
            cells = (slice(None), slice(None), *(slice(start // c, (start + n) // c) for start, n, c in box))
            total[voxels] += network(inputs[voxels], mask[cells]).to(total.dtype)
            count[voxels] += 1
        return total / count


def patch_starts(size: int, patch: int) -> list[int]:
    """Return where patches begin along one axis so that they cover it."""
    return [*range(0, size - patch, patch), size - patch]
