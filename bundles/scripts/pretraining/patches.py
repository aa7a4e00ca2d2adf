"""Images as rows of patches, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from .masks import cell_grid


def patchify(image: torch.Tensor, patch_size: Sequence[int]) -> torch.Tensor:
    """Cut an image into patches.

    Args:
        image: (B, C, *size), two or three axes of voxels.
        patch_size: voxels per axis.

    Returns:
        (B, n, voxels * C): patches in C order of their grid; within a patch voxels in C order, channel last.

    Raises:
        InputError: if the patches do not tile the image.
    """
    grid, dims = cell_grid(image.shape[2:], patch_size), len(patch_size)
    batch, channels = image.shape[:2]
    split = [n for pair in zip(grid, patch_size, strict=True) for n in pair]
    image = image.reshape(batch, channels, *split)
    patches = image.permute(0, *range(2, 2 + 2 * dims, 2), *range(3, 3 + 2 * dims, 2), 1)
    return patches.reshape(batch, math.prod(grid), math.prod(patch_size) * channels)


def unpatchify(patches: torch.Tensor, patch_size: Sequence[int], size: Sequence[int]) -> torch.Tensor:
    """Put patches together again, the inverse of `patchify`.

    Args:
        patches: (B, n, voxels * C).
        patch_size: voxels per axis.
        size: of the image, voxels per axis.

    Returns:
        (B, C, *size).
    """
    grid, dims = cell_grid(size, patch_size), len(patch_size)
    image = patches.reshape(patches.shape[0], *grid, *patch_size, -1)
    woven = [axis for pair in zip(range(1, 1 + dims), range(1 + dims, 1 + 2 * dims), strict=True) for axis in pair]
    return image.permute(0, 1 + 2 * dims, *woven).reshape(patches.shape[0], -1, *size)


def take_patches(patches: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return the patches (B, k, P) that `index` (B, k) names for each sample of `patches` (B or 1, n, P)."""
    width = patches.shape[2]
    return patches.expand(index.shape[0], -1, -1).gather(1, index[..., None].expand(-1, -1, width))
