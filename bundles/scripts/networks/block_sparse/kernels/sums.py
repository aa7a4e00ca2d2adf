"""Adding the terms of border and cells to a volume in one pass."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from ..cells import Cells, Shape
from ..sums import BORDER
from .tiles import SHAPES, launch


def add_on_gpu(
    volume: torch.Tensor, border: torch.Tensor, cells: torch.Tensor, where: Cells, size: Shape, margin: int
) -> torch.Tensor:
    """Do what `add_constant_and_cells` does, if a cell is at least twice the margin; the arguments are its own."""
    volume = volume.contiguous(memory_format=torch.channels_last_3d)
    out: torch.Tensor = _Add.apply(volume, border, cells, where, size, margin)
    return out


class _Add(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, volume: torch.Tensor, border: torch.Tensor, cells: torch.Tensor, *geometry: Any) -> Any:
        ctx.mark_dirty(volume)
        ctx.geometry, ctx.sides = geometry, border.shape[1:]
        where, size, margin = geometry
        cells = cells.contiguous(memory_format=torch.channels_last_3d)
        border = border.permute(1, 2, 3, 0).contiguous()
        batch, channels, *whole = volume.shape
        rows = volume[:, 0].numel()
        grid, tile = launch(rows, channels)
        _add[grid](
            volume, border, cells, where.numbers, rows, where.num, channels, *whole, *size, margin,
            *border.shape[:3], BORDER, **tile,
        )  # fmt: skip
        ctx.cells = cells.dtype, cells.shape
        return volume

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        where, size, margin = ctx.geometry
        dtype, shape = ctx.cells
        grad = grad.contiguous(memory_format=torch.channels_last_3d)
        number, channels, *wide = shape
        back = grad.new_empty([number, *wide, channels], dtype=dtype).permute(0, 4, 1, 2, 3)
        rows = number * math.prod(wide)
        grid, tile = launch(rows, channels)
        _cut[grid](grad, back, where.places, rows, channels, *grad.shape[2:], *size, *wide, margin, **tile)
        return grad, _of_border(grad, ctx.sides), back, None, None, None


def _of_border(grad: torch.Tensor, sides: Any) -> torch.Tensor:
    """Sum (B, C, D, H, W) over the voxels that have the same distance to the border."""
    batch, channels, *whole = grad.shape
    sums = grad.permute(0, 2, 3, 4, 1)
    for axis, (length, side) in enumerate(zip(whole, sides, strict=True)):
        which, shrink = _summands(length, side, sums.dtype, grad.device)
        before, after = [batch, *sides[:axis]], [*whole[axis + 1 :], channels]
        with torch.autocast(grad.device.type, enabled=False):
            sums = which @ sums.reshape(math.prod(before), length, -1)
        sums = (sums.float() / shrink).view(*before, side, *after)
    return sums.sum(dim=0).permute(3, 0, 1, 2)


@cache
def _summands(length: int, side: int, dtype: torch.dtype, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the matrix (side, length) that sums voxels of the same distance, and (side, 1) by what its rows shrink."""
    place = torch.arange(length, device=device)
    if side < length:
        place = torch.where(place < BORDER, place, (side - length + place).clamp(min=BORDER))
    which = place == torch.arange(side, device=device)[:, None]
    # half precision holds no sums of many: they are taken smaller by a power of two
    shrink = torch.where(which.sum(dim=1, keepdim=True) > 1, 2.0 ** -length.bit_length(), 1.0)
    return (which * shrink).to(dtype), shrink


@triton.jit(do_not_specialize=SHAPES)
def _add(
    volume, border, cells, numbers, rows, number, channels, D, H, W, d, h, w, margin, side_d, side_h, side_w, thick,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    known, inside = (channel < channels)[None, :], row < rows
    sample, X, Y, Z = row // (D * H * W), row // (H * W) % D, row // W % H, row % W
    place = volume + row.to(tl.int64)[:, None] * channels + channel[None, :]
    value = tl.load(place, mask=inside[:, None] & known, other=0.0).to(tl.float32)
    x, y, z = _near(X, D, side_d, thick), _near(Y, H, side_h, thick), _near(Z, W, side_w, thick)
    edge = ((x * side_h + y) * side_w + z)[:, None] * channels + channel[None, :]
    value += tl.load(border + edge, mask=inside[:, None] & known, other=0.0).to(tl.float32)
    wide_d, wide_h, wide_w = d + 2 * margin, h + 2 * margin, w + 2 * margin
    for i in tl.static_range(0, 2):
        for j in tl.static_range(0, 2):
            for k in tl.static_range(0, 2):
                p = _cell(X, d, margin, i)
                q = _cell(Y, h, margin, j)
                r = _cell(Z, w, margin, k)
                x, y, z = X - p * d + margin, Y - q * h + margin, Z - r * w + margin
                hit = inside & (p >= 0) & (p < D // d) & (q >= 0) & (q < H // h) & (r >= 0) & (r < W // w)
                hit = hit & (x >= 0) & (x < wide_d) & (y >= 0) & (y < wide_h) & (z >= 0) & (z < wide_w)
                which = ((sample * (D // d) + p) * (H // h) + q) * (W // w) + r
                cell = tl.load(numbers + which, mask=hit, other=number)
                hit = hit & (cell < number)
                if tl.max(hit.to(tl.int32), axis=0) > 0:
                    start = (((cell.to(tl.int64) * wide_d + x) * wide_h + y) * wide_w + z) * channels
                    term = tl.load(cells + start[:, None] + channel[None, :], mask=hit[:, None] & known, other=0.0)
                    value += term.to(tl.float32)
    tl.store(place, value, mask=inside[:, None] & known)


@triton.jit
def _cell(voxel, size, margin, turn: tl.constexpr):
    """Return one of the two cells that may reach a voxel along an axis: its own, and one beside it or -1 for none."""
    own = voxel // size
    within = voxel - own * size
    beside = tl.where(within < margin, own - 1, tl.where(within >= size - margin, own + 1, -1))
    return own if turn == 0 else beside


@triton.jit
def _near(voxel, length, size, thick):
    """Return the voxel of the small volume that is as far from the border."""
    far = tl.minimum(tl.maximum(size - length + voxel, thick), size - 1)
    return tl.where(size == length, voxel, tl.where(voxel < thick, voxel, far))


@triton.jit(do_not_specialize=SHAPES)
def _cut(
    volume, cells, places, rows, channels, D, H, W, d, h, w, wide_d, wide_h, wide_w, margin,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Copy each cell, wider by the margin, out of the volume; zero outside."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    known, inside = (channel < channels)[None, :], row < rows
    place = places + (row // (wide_d * wide_h * wide_w)).to(tl.int64) * 4
    sample = tl.load(place, mask=inside, other=0)
    X = tl.load(place + 1, mask=inside, other=0) * d + row // (wide_h * wide_w) % wide_d - margin
    Y = tl.load(place + 2, mask=inside, other=0) * h + row // wide_w % wide_h - margin
    Z = tl.load(place + 3, mask=inside, other=0) * w + row % wide_w - margin
    hit = inside & (X >= 0) & (X < D) & (Y >= 0) & (Y < H) & (Z >= 0) & (Z < W)
    start = (((sample.to(tl.int64) * D + X) * H + Y) * W + Z) * channels
    values = tl.load(volume + start[:, None] + channel[None, :], mask=hit[:, None] & known, other=0.0)
    tl.store(cells + row.to(tl.int64)[:, None] * channels + channel[None, :], values, mask=inside[:, None] & known)
