"""What reconstruction costs nothing: the predictors that a pretrained network has to beat."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812


def visible_mean(image: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """Predict every voxel as the mean of the visible ones.

    Args:
        image: (B, C, D, H, W).
        hidden: (B, 1, D, H, W), bool, True = hidden.

    Returns:
        (B, C, D, H, W), constant per sample and channel.
    """
    seen = (~hidden).to(image.dtype)
    mean = (image * seen).sum(dim=(2, 3, 4), keepdim=True) / seen.sum(dim=(2, 3, 4), keepdim=True).clamp(min=1)
    return mean.expand_as(image)


def interpolate_visible(image: torch.Tensor, hidden: torch.Tensor, num_sweeps: int = 200) -> torch.Tensor:
    """Fill hidden voxels by harmonic interpolation of the visible ones, the smoothest surface through them.

    Starts from a pyramid of averages of visible voxels and relaxes towards the solution of Laplace's equation.

    Args:
        image: (B, C, D, H, W).
        hidden: (B, 1, D, H, W), bool, True = hidden.
        num_sweeps: relaxation sweeps; each carries information by one voxel, the pyramid by a cell and more.

    Returns:
        (B, C, D, H, W), equal to `image` where it is visible.
    """
    filled = _fill_from_coarse(image, (~hidden).to(image.dtype))
    for _ in range(num_sweeps):
        padded = F.pad(filled, (1, 1, 1, 1, 1, 1), mode="replicate")
        neighbours = (
            padded[:, :, 2:, 1:-1, 1:-1]
            + padded[:, :, :-2, 1:-1, 1:-1]
            + padded[:, :, 1:-1, 2:, 1:-1]
            + padded[:, :, 1:-1, :-2, 1:-1]
            + padded[:, :, 1:-1, 1:-1, 2:]
            + padded[:, :, 1:-1, 1:-1, :-2]
        )
        filled = torch.where(hidden, neighbours / 6, image)
    return filled


def _fill_from_coarse(image: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Average visible voxels over ever larger blocks until none is empty, and fill holes from the coarser level."""
    if bool((seen > 0).all()) or max(image.shape[2:]) == 1:
        return image
    total = F.avg_pool3d(image * seen, 2, ceil_mode=True, count_include_pad=False)
    weight = F.avg_pool3d(seen, 2, ceil_mode=True, count_include_pad=False)
    coarse = _fill_from_coarse(torch.where(weight > 0, total / weight.clamp(min=1e-6), 0), (weight > 0).to(seen.dtype))
    fine = F.interpolate(coarse, size=image.shape[2:], mode="trilinear", align_corners=False)
    return torch.where(seen > 0, image, fine)
