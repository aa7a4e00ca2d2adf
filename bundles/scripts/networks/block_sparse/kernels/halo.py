"""The halo of cells in one pass, without the indices that PyTorch needs."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl

from ..cells import Shape
from .tiles import SHAPES, launch


def pad_on_gpu(cells: torch.Tensor, neighbours: torch.Tensor, low: Shape, high: Shape) -> torch.Tensor:
    """Do what `pad` does.

    Args:
        cells: (N, C, d, h, w).
        neighbours: (N, 27) numbers of the cells around each, N where there is none.
        low: voxels before a cell, per axis.
        high: voxels behind it.

    Returns:
        (N, C, low + d + high, ...) in channels-last order.
    """
    cells = cells.contiguous(memory_format=torch.channels_last_3d)
    number, channels, *size = cells.shape
    sides = [before + n + behind for n, before, behind in zip(size, low, high, strict=True)]
    padded = cells.new_empty([number, *sides, channels]).permute(0, 4, 1, 2, 3)
    rows = number * math.prod(sides)
    grid, tile = launch(rows, channels)
    _pad[grid](cells, neighbours, padded, rows, number, channels, *size, *low, *sides, **tile)
    return padded


@triton.jit(do_not_specialize=SHAPES)
def _pad(
    cells, neighbours, padded, rows, number, channels, d, h, w, low_d, low_h, low_w, side_d, side_h, side_w,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    x, y, z = row // (side_h * side_w) % side_d - low_d, row // side_w % side_h - low_h, row % side_w - low_w
    step_x, step_y, step_z = _step(x, d), _step(y, h), _step(z, w)
    direction = ((step_x + 1) * 3 + step_y + 1) * 3 + step_z + 1
    inside = row < rows
    cell = row // (side_d * side_h * side_w)
    source = tl.load(neighbours + cell.to(tl.int64) * 27 + direction, mask=inside, other=number)
    voxel = ((x - step_x * d) * h + y - step_y * h) * w + z - step_z * w
    taken = (source < number)[:, None] & (channel < channels)[None, :]
    start = (source.to(tl.int64) * (d * h * w) + voxel) * channels
    values = tl.load(cells + start[:, None] + channel[None, :], mask=taken, other=0.0)
    written = inside[:, None] & (channel < channels)[None, :]
    tl.store(padded + row.to(tl.int64)[:, None] * channels + channel[None, :], values, mask=written)


@triton.jit
def _step(voxel, size):
    """Return -1 before a cell, 0 in it, 1 behind it."""
    return (voxel >= size).to(tl.int32) - (voxel < 0).to(tl.int32)
