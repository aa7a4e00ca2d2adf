"""What reconstruction costs nothing: the predictors that a pretrained network has to beat."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
POOLS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def visible_mean(image: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """Predict every voxel as the mean of the visible ones.

    Args:
        image: (B, C, *size).
        hidden: (B, 1, *size), bool, True = hidden.

    Returns:
        (B, C, *size), constant per sample and channel.
    """
    axes = tuple(range(2, image.dim()))
    seen = (~hidden).to(image.dtype)
    mean = (image * seen).sum(dim=axes, keepdim=True) / seen.sum(dim=axes, keepdim=True).clamp(min=1)
    return mean.expand_as(image)


def interpolate_visible(image: torch.Tensor, hidden: torch.Tensor, num_sweeps: int = 200) -> torch.Tensor:
    """Fill hidden voxels by harmonic interpolation of the visible ones, the smoothest surface through them.

    Starts from a pyramid of averages of visible voxels and relaxes towards the solution of Laplace's equation.

    Args:
        image: (B, C, *size).
        hidden: (B, 1, *size), bool, True = hidden.
        num_sweeps: relaxation sweeps; each carries information by one voxel, the pyramid by a cell and more.

    Returns:
        (B, C, *size), equal to `image` where it is visible.
    """
    filled = _fill_from_coarse(image, (~hidden).to(image.dtype))
    axes = range(2, image.dim())
    for _ in range(num_sweeps):
        neighbours = sum(_neighbours(filled, axis) for axis in axes)
        filled = torch.where(hidden, neighbours / (2 * len(axes)), image)
    return filled


def _neighbours(image: torch.Tensor, axis: int) -> torch.Tensor:
    """Return the sum of both neighbours of every voxel along an axis; at the border it is its own."""
    n = image.shape[axis]
    further = torch.cat([image.narrow(axis, 1, n - 1), image.narrow(axis, n - 1, 1)], axis)
    back = torch.cat([image.narrow(axis, 0, 1), image.narrow(axis, 0, n - 1)], axis)
    return further + back


def _fill_from_coarse(image: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Average visible voxels over ever larger blocks until none is empty, and fill holes from the coarser level."""
    if bool((seen > 0).all()) or max(image.shape[2:]) == 1:
        return image
    dims = image.dim() - 2
    total = POOLS[dims](image * seen, 2, ceil_mode=True, count_include_pad=False)
    weight = POOLS[dims](seen, 2, ceil_mode=True, count_include_pad=False)
    coarse = _fill_from_coarse(torch.where(weight > 0, total / weight.clamp(min=1e-6), 0), (weight > 0).to(seen.dtype))
    fine = F.interpolate(coarse, size=image.shape[2:], mode=MODES[dims], align_corners=False)
    return torch.where(seen > 0, image, fine)
