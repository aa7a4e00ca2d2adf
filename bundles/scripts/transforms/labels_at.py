"""Labels between voxels, by linear interpolation of each label's share."""

from __future__ import annotations

import itertools

import torch


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
    last = torch.tensor(label.shape[1:]).unsqueeze(1) - 1
    inside = torch.minimum(place.flatten(1).clamp(min=0), last)
    low = inside.long()
    ends = (low, torch.minimum(low + 1, last))
    corners = list(itertools.product((0, 1), repeat=3))
    around = torch.stack([label[0][ends[i][0], ends[j][1], ends[k][2]] for i, j, k in corners])
    chosen = around[0].clone()
    mixed = (around != chosen).any(dim=0)
    part = (inside - low)[:, mixed]
    halves = torch.stack([1 - part, part])
    weights = torch.stack([halves[i, 0] * halves[j, 1] * halves[k, 2] for i, j, k in corners])
    around, order = around[:, mixed].sort(dim=0)  # the first of equal shares is the smallest label's
    weights = weights.gather(0, order)
    shares = torch.stack([(weights * (around == candidate)).sum(dim=0) for candidate in around])
    chosen[mixed] = around.gather(0, shares.argmax(dim=0, keepdim=True))[0]
    return chosen.view(1, *place.shape[1:])
