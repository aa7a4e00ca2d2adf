"""Convolution of cells that see their visible neighbours."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .cells import Cells, Shape


def convolve(conv: nn.Conv3d, cells: torch.Tensor, where: Cells) -> torch.Tensor:
    """Apply a convolution whose padding keeps the size (divided by its stride), as if hidden voxels were zero.

    Args:
        conv: of any kernel and stride; its padding is made of voxels of neighbouring cells.
        cells: (N, C, d, h, w), sides divisible by the stride.
        where: the cells.

    Returns:
        (N, C_out, d, h, w) divided by the stride.
    """
    low, high = _halo_of(conv)
    device = cells.device.type
    # the function below is opaque to autocast
    autocast = not cells.is_meta and torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else cells.dtype
    cells, weight = cells.to(dtype), conv.weight.to(dtype)
    bias = None if conv.bias is None else conv.bias.to(dtype)
    if not any(low) and not any(high):
        return F.conv3d(cells, weight, bias, conv.stride)
    size = (cells.shape[2], cells.shape[3], cells.shape[4])
    target, source = where.halo(size, low, high)
    out: torch.Tensor = _HaloConvolution.apply(cells, weight, bias, conv.stride, low, high, target, source)
    return out


def _halo_of(conv: nn.Conv3d) -> tuple[Shape, Shape]:
    """Return the voxels that a cell needs before and behind it: none behind where a stride of two skips them."""
    low = [int(p) for p in conv.padding]
    high = [max(0, k - s - p) for k, s, p in zip(conv.kernel_size, conv.stride, low, strict=True)]
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


class _HaloConvolution(torch.autograd.Function):
    """Pad, copy halos, convolve; keeps the cells for the backward pass instead of their larger padded copy."""

    @staticmethod
    def forward(ctx: Any, cells: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *halo: Any) -> Any:
        ctx.save_for_backward(cells, weight)
        ctx.halo, ctx.has_bias = halo, bias is not None
        stride, *rest = halo
        return F.conv3d(_padded(cells, *rest), weight, bias, stride)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        cells, weight = ctx.saved_tensors
        stride, low, high, target, source = ctx.halo
        sizes = [weight.shape[0]] if ctx.has_bias else None
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.has_bias and ctx.needs_input_grad[2]]
        grad = grad.contiguous(memory_format=torch.channels_last_3d)
        padded, weights, biases = torch.ops.aten.convolution_backward(
            grad, _padded(cells, low, high, target, source), weight, sizes, stride, [0] * 3, [1] * 3, False, [0] * 3, 1,
            wanted,
        )  # fmt: skip
        back = _unpadded(padded, cells.shape[2:], low, target, source) if wanted[0] else None
        return back, weights, biases, None, None, None, None, None


def _padded(cells: torch.Tensor, low: Shape, high: Shape, target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    channels, size = cells.shape[1], cells.shape[2:]
    sides = [before + n + behind for n, before, behind in zip(size, low, high, strict=True)]
    padded = cells.new_zeros(len(cells), *sides, channels)
    cells = cells.permute(0, 2, 3, 4, 1)
    _inner(padded, size, low).copy_(cells)
    padded.view(-1, channels).index_copy_(0, target, cells.reshape(-1, channels).index_select(0, source))
    return padded.permute(0, 4, 1, 2, 3)


def _unpadded(grad: torch.Tensor, size: Any, low: Shape, target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    grad = grad.permute(0, 2, 3, 4, 1).contiguous()
    channels = grad.shape[-1]
    cells = _inner(grad, size, low).contiguous()
    cells.view(-1, channels).index_add_(0, source, grad.view(-1, channels).index_select(0, target))
    return cells.permute(0, 4, 1, 2, 3)


def _inner(padded: torch.Tensor, size: Any, low: Shape) -> torch.Tensor:
    for axis, (n, before) in enumerate(zip(size, low, strict=True), start=1):
        padded = padded.narrow(axis, before, n)
    return padded
