"""Convolution of cells that see their visible neighbours."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .cells import Cells, Shape
from .halo import pad
from .normalization import cancel

KEPT = 2**3  # voxels of a cell up to which padding is kept for the backward pass, instead of being made again
KEPT_VALUES = 2**21  # a sample, unless there is more of it: with cells smaller than the paper's such stages hold many


def convolve(conv: nn.Conv3d, cells: torch.Tensor, where: Cells) -> torch.Tensor:
    """Apply a convolution whose padding keeps the size (divided by its stride), as if hidden voxels were zero.

    Its bias is left out, since the normalisation that follows takes it away again (see `cancel`).

    Args:
        conv: of any kernel and stride; its padding is made of voxels of neighbouring cells.
        cells: (N, C, d, h, w), sides divisible by the stride.
        where: the cells.

    Returns:
        (N, C_out, d, h, w) divided by the stride.
    """
    device = cells.device.type
    # the function below is opaque to autocast
    autocast = not cells.is_meta and torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else cells.dtype
    cells, weight = cells.to(dtype), conv.weight
    if weight.dtype != dtype:
        weight = weight.to(dtype, memory_format=torch.channels_last_3d)
    low = _shape(conv.padding)
    # none behind where a stride of two skips them
    high = _shape(max(0, k - s - p) for k, s, p in zip(conv.kernel_size, conv.stride, low, strict=True))
    if not any(low) and not any(high):
        return cancel(F.conv3d(cells, weight, None, conv.stride), conv.bias)
    out: torch.Tensor = _HaloConvolution.apply(cells, weight, conv.bias, _shape(conv.stride), low, high, where)
    return out


class _HaloConvolution(torch.autograd.Function):
    """Pad, copy halos, convolve; keeps cells for the backward pass, and their larger padded copies of small ones."""

    @staticmethod
    def forward(
        ctx: Any, cells: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *geometry: Any
    ) -> torch.Tensor:
        stride, low, high, where = geometry
        padded = pad(cells, where, low, high)
        ctx.geometry, ctx.size = geometry, cells.shape[2:]
        ctx.kept = math.prod(cells.shape[2:]) <= KEPT and padded.numel() <= KEPT_VALUES * where.batch
        ctx.save_for_backward(padded if ctx.kept else cells, weight, bias)
        ctx.small = _is_small(cells, stride)
        return _multiply(padded, weight, stride) if ctx.small else F.conv3d(padded, weight, None, stride)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        cells, weight, bias = ctx.saved_tensors
        stride, low, high, where = ctx.geometry
        grad = grad.contiguous(memory_format=torch.channels_last_3d)
        wanted, weights = ctx.needs_input_grad, None
        if wanted[1]:
            of_weight = _of_weight_small if ctx.small else _of_weight
            padded = cells if ctx.kept else pad(cells, where, low, high)
            weights = of_weight(grad, padded, weight, stride)
        back = _of_cells(grad, weight, ctx.size, stride, low, where, ctx.small) if wanted[0] else None
        biases = where.zeros_like(bias) if bias is not None and wanted[2] else None
        return back, weights, biases, None, None, None, None


def _is_small(cells: torch.Tensor, stride: Shape) -> bool:
    """Tell whether a CPU multiplies by the weights faster than it convolves with them.

    Compared with both gradients, in float32 on one and two cores: of cells of one voxel and of 2^3 products are faster,
    however many they are, of 4^3 as fast or slower, of 8^3 slower.
    """
    return cells.device.type == "cpu" and math.prod(cells.shape[2:]) <= 8 * math.prod(stride)


def _multiply(padded: torch.Tensor, weight: torch.Tensor, stride: Shape) -> torch.Tensor:
    out = _windows(padded, weight, stride) @ weight.permute(0, 2, 3, 4, 1).flatten(1).T
    return out.permute(0, 4, 1, 2, 3)


def _of_weight_small(grad: torch.Tensor, padded: torch.Tensor, weight: torch.Tensor, stride: Shape) -> torch.Tensor:
    rows = grad.permute(0, 2, 3, 4, 1).flatten(0, 3)
    weights = rows.T @ _windows(padded, weight, stride).flatten(0, 3)
    return weights.unflatten(1, [*weight.shape[2:], weight.shape[1]]).permute(0, 4, 1, 2, 3)


def _windows(padded: torch.Tensor, weight: torch.Tensor, stride: Shape) -> torch.Tensor:
    """Return what each output sees, (N, d, h, w, kernel x C), channels last as in memory."""
    windows = padded.permute(0, 2, 3, 4, 1)
    for axis, (k, s) in enumerate(zip(weight.shape[2:], stride, strict=True), start=1):
        windows = windows.unfold(axis, k, s)
    return windows.permute(0, 1, 2, 3, 5, 6, 7, 4).flatten(4)


def _of_weight(grad: torch.Tensor, padded: torch.Tensor, weight: torch.Tensor, stride: Shape) -> torch.Tensor:
    gradients: tuple[torch.Tensor, ...] = torch.ops.aten.convolution_backward(
        grad, padded, weight, None, stride, [0] * 3, [1] * 3, False, [0] * 3, 1, [False, True, False]
    )
    return gradients[1]


def _of_cells(
    grad: torch.Tensor, weight: torch.Tensor, size: Any, stride: Shape, low: Shape, where: Cells, small: bool
) -> torch.Tensor:
    """Return the gradient of cells, with those of neighbours' outputs that read from them."""
    kernel = weight.shape[2:]
    before = _shape((k - 1 - b) // s for k, b, s in zip(kernel, low, stride, strict=True))
    behind = _shape((b + s - 1) // s for b, s in zip(low, stride, strict=True))
    padded = pad(grad, where, before, behind)
    if small and math.prod(stride) == 1:
        return _of_cells_small(padded, weight, size)
    cut = [b + s * h for b, s, h in zip(low, stride, before, strict=True)]
    back = F.conv_transpose3d(padded, weight, None, stride, cut)
    return back[:, :, : size[0], : size[1], : size[2]].contiguous(memory_format=torch.channels_last_3d)


def _of_cells_small(padded: torch.Tensor, weight: torch.Tensor, size: Any) -> torch.Tensor:
    # windows as above would have to be copied against their order in memory
    exact = torch.promote_types(padded.dtype, torch.float)  # 27 products add up
    rows, weight, kernel = padded.permute(0, 2, 3, 4, 1).to(exact), weight.to(exact), weight.shape[2:]
    back = rows.new_zeros([len(rows) * math.prod(size), weight.shape[1]])
    for tap in product(range(kernel[0]), range(kernel[1]), range(kernel[2])):
        read = [slice(k - 1 - t, k - 1 - t + n) for n, k, t in zip(size, kernel, tap, strict=True)]
        back.addmm_(rows[(slice(None), *read)].flatten(0, 3), weight[(..., *tap)])
    return back.to(padded.dtype).unflatten(0, [len(padded), *size]).permute(0, 4, 1, 2, 3)


def _shape(values: Any) -> Shape:
    first, second, third = (int(value) for value in values)
    return first, second, third
