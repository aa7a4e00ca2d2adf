"""Average pooling that leaves channels last."""

from __future__ import annotations

from typing import Any

import torch
from monai.utils import ensure_tuple_rep
from torch import nn
from torch.autograd.function import once_differentiable

from ..geometry import is_multiple


class AveragePool(nn.AvgPool3d):
    """PyTorch's `AvgPool3d` over blocks without its copies, so that a network in channels-last order stays in it.

    PyTorch's brings features into channels-first order, and in mixed precision on a CPU to float32
    besides, which takes several times as long as adding.

    Example:
        >>> AveragePool(2)(torch.ones(1, 2, 4, 4, 4)).shape
        torch.Size([1, 2, 2, 2, 2])
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Average over blocks of the kernel's size: (B, C, D, H, W) to that divided by it."""
        blocks = ensure_tuple_rep(self.kernel_size, 3)
        if torch.jit.is_tracing() or torch.compiler.is_compiling() or not is_multiple(input.shape[2:], blocks):
            return super().forward(input)  # as `InstanceNorm` does; and of sizes that do not divide
        out: torch.Tensor = _BlockMean.apply(input.as_subclass(torch.Tensor), blocks)
        return out


class _BlockMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, blocks: tuple[int, ...]) -> torch.Tensor:
        ctx.blocks = blocks
        if features.is_cuda:
            return _mean(features, blocks)
        share = blocks[0] * blocks[1] * blocks[2]
        for axis, block in enumerate(blocks, start=2):
            parts = [features[(slice(None),) * axis + (slice(i, None, block),)] for i in range(block)]
            features = sum(parts[1:], start=parts[0])
            features = features / share if axis == 2 else features  # at once, lest half precision overflow
        return features

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        a, b, c = ctx.blocks
        rows = (grad / (a * b * c)).permute(0, 2, 3, 4, 1)
        n, d, h, w, channels = rows.shape
        spread = rows[:, :, None, :, None, :, None].expand(n, d, a, h, b, w, c, channels)
        return spread.reshape(n, d * a, h * b, w * c, channels).permute(0, 4, 1, 2, 3), None


def _mean(features: torch.Tensor, blocks: tuple[int, ...]) -> torch.Tensor:
    """Average in one pass, which a GPU does fast, a CPU slowly; half precision is rounded once."""
    rows = features.permute(0, 2, 3, 4, 1)
    for axis, block in zip((3, 2, 1), reversed(blocks), strict=True):
        rows = rows.unflatten(axis, (-1, block))
    return rows.mean(dim=(2, 4, 6)).permute(0, 4, 1, 2, 3)
