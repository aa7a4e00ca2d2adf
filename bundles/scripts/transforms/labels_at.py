"""Labels between voxels, by linear interpolation of each label's share."""

from __future__ import annotations

import torch

from .interpolation import CORNERS, clamped, neighbours, weights


def labels_at(label: torch.Tensor, place: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
    """Choose for every place the label with the largest share in linear interpolation between its eight neighbours.

    That is what nnU-Net does by interpolating one label after the other. Only places whose neighbours differ are
    looked at, so that the cost does not grow with the number of labels.

    Args:
        label: (1, D, H, W).
        place: (3, d, h, w), in voxels from the middle of the first one. Outside is what is at the border.
        mixed: (D, H, W), of `is_mixed`, which is computed once for all places.

    Returns:
        Labels (1, d, h, w); of equal shares the smaller label's counts.
    """
    size = label.shape[1:]
    x, y, z = clamped(place, size).int()
    first = (x * size[1] + y) * size[2] + z
    chosen = label.flatten().index_select(0, first)
    unclear = mixed.flatten().index_select(0, first)
    index, part = neighbours(place.flatten(1)[:, unclear], size)
    around, order = label.flatten()[index].sort(dim=0)  # the first of equal shares is the smallest label's
    weight = weights(part).gather(0, order)
    shares = torch.stack([(weight * (around == candidate)).sum(dim=0) for candidate in around])
    chosen[unclear] = around.gather(0, shares.argmax(dim=0, keepdim=True))[0]
    return chosen.view(1, *place.shape[1:])


def is_mixed(label: torch.Tensor) -> torch.Tensor:
    """Tell of each voxel (D, H, W) whether the eight that start with it have different labels."""
    d, h, w = label.shape
    mixed = torch.zeros(d, h, w, dtype=torch.bool)
    for i, j, k in CORNERS[1:]:
        # beyond the border is what is at it, which other corners compare with
        mixed[: d - i, : h - j, : w - k] |= label[i:, j:, k:] != label[: d - i, : h - j, : w - k]
    return mixed
