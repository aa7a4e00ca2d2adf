"""Labels between voxels, by linear interpolation of each label's share."""

from __future__ import annotations

import torch

from .interpolation import neighbours, weights


def labels_at(label: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Choose for every place the label with the largest share in linear interpolation between its eight neighbours.

    That is what nnU-Net does by interpolating one label after the other. Only places whose neighbours differ are
    looked at, so that the cost does not grow with the number of labels.

    Args:
        label: (1, D, H, W).
        place: (3, d, h, w), in voxels from the middle of the first one. Outside is what is at the border.

    Returns:
        Labels (1, d, h, w); of equal shares the smaller label's counts.
    """
    index, part = neighbours(place, label.shape[1:])
    around = label.flatten()[index]
    chosen = around[0].clone()
    mixed = (around != chosen).any(dim=0)
    around, order = around[:, mixed].sort(dim=0)  # the first of equal shares is the smallest label's
    weight = weights(part[:, mixed]).gather(0, order)
    shares = torch.stack([(weight * (around == candidate)).sum(dim=0) for candidate in around])
    chosen[mixed] = around.gather(0, shares.argmax(dim=0, keepdim=True))[0]
    return chosen.view(1, *place.shape[1:])
