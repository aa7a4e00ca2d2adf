"""Adding what is known of a volume's border and cells to it in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from .cells import Cells, Shape, Slices
from .kernels import usable

BORDER = 2  # voxels next to a side that two 3x3x3 convolutions let differ from the middle


def constant_size(size: Sequence[int]) -> Shape:
    """Return the smallest volume that has every distance to the border that one of `size` has."""
    sides = [min(n, 2 * BORDER + 1) for n in size]
    return (sides[0], sides[1], sides[2])


def add_constant_and_cells(
    volume: torch.Tensor, border: torch.Tensor, cells: torch.Tensor, where: Cells, size: Shape, margin: int
) -> torch.Tensor:
    """Add both terms to a volume, in place.

    Args:
        volume: (B, C, D, H, W), not needed by the operation that made it.
        border: (C, *constant_size), zero in the middle.
        cells: (N, C, d, h, w), each wider than `size` by `margin` on all sides; they overlap and add.
        where: the cells.
        size: voxels (d, h, w) of a cell.
        margin: voxels on each side.

    Returns:
        The volume.
    """
    if usable(volume) and min(size) >= 2 * margin:
        from .kernels.sums import add_on_gpu

        with torch.cuda.device_of(volume):  # Triton takes the current one
            return add_on_gpu(volume, border, cells, where, size, margin)
    slabs = _shell(volume.shape[2:])
    border = border.to(torch.promote_types(border.dtype, torch.float))  # whose gradient is a sum over whole sides
    values = [_expand(border, slab, volume.shape[2:]).to(volume.dtype) for slab in slabs]
    out: torch.Tensor = _AddInPlace.apply(volume, cells, where.windows(size, margin), slabs, *values)
    return out


class _AddInPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, volume: torch.Tensor, cells: torch.Tensor, windows: Any, slabs: Any, *values: Any) -> Any:
        ctx.mark_dirty(volume)
        ctx.windows, ctx.slabs, ctx.shape = windows, slabs, cells.shape
        for slab, value in zip(slabs, values, strict=True):
            volume[(..., *slab)] += value
        for number, sample, covered, inside in windows:
            volume[(sample, slice(None), *covered)] += cells[(number, slice(None), *inside)]
        return volume

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        count, channels, *sides = ctx.shape
        cells = grad.new_zeros(count, *sides, channels).permute(0, 4, 1, 2, 3)
        for number, sample, covered, inside in ctx.windows:
            cells[(number, slice(None), *inside)] = grad[(sample, slice(None), *covered)]
        return (grad, cells, None, None, *(grad[(..., *slab)].sum(dim=0) for slab in ctx.slabs))


def _shell(size: Sequence[int]) -> list[Slices]:
    """Cut the voxels near the border into boxes that do not overlap."""
    box = [slice(0, n) for n in size]
    slabs = []
    for axis, n in enumerate(size):
        thin = n <= 2 * BORDER
        for end in [slice(0, n)] if thin else [slice(0, BORDER), slice(n - BORDER, n)]:
            slab = [*box[:axis], end, *box[axis + 1 :]]
            slabs.append((slab[0], slab[1], slab[2]))
        if thin:
            break
        box[axis] = slice(BORDER, n - BORDER)
    return slabs


def _expand(border: torch.Tensor, slab: Slices, size: Sequence[int]) -> torch.Tensor:
    for axis, (part, n) in enumerate(zip(slab, size, strict=True), start=1):
        voxel = torch.arange(part.start, part.stop, device=border.device)
        from_end = border.shape[axis] - n + voxel
        border = border.index_select(axis, torch.where(voxel < BORDER, voxel, from_end.clamp(min=min(BORDER, n - 1))))
    return border
