"""Cells with a halo of what their visible neighbours hold."""

from __future__ import annotations

import torch

from .cells import Cells, Shape
from .kernels import usable


def pad(cells: torch.Tensor, where: Cells, low: Shape, high: Shape) -> torch.Tensor:
    """Widen cells by voxels of visible neighbours, zero where there is none. Not differentiable.

    Args:
        cells: (N, C, d, h, w).
        where: the cells.
        low: voxels to put before a cell, per axis; at most its size.
        high: voxels to put behind it.

    Returns:
        (N, C, low + d + high, ...) in channels-last order.
    """
    if usable(cells):
        from .kernels.halo import pad_on_gpu

        with torch.cuda.device_of(cells):  # Triton takes the current one
            return pad_on_gpu(cells, where.neighbours, low, high)
    size = (cells.shape[2], cells.shape[3], cells.shape[4])
    target, source, blank = where.halo(size, low, high)
    channels = cells.shape[1]
    sides = [before + n + behind for n, before, behind in zip(size, low, high, strict=True)]
    padded = cells.new_empty([len(cells), *sides, channels])
    cells = cells.permute(0, 2, 3, 4, 1)
    inner = padded
    for axis, (n, before) in enumerate(zip(size, low, strict=True), start=1):
        inner = inner.narrow(axis, before, n)
    inner.copy_(cells)
    rows = padded.view(-1, channels)
    rows.index_copy_(0, target, cells.reshape(-1, channels).index_select(0, source))
    rows.index_fill_(0, blank, 0)
    return padded.permute(0, 4, 1, 2, 3)
