"""Instance normalisation over cells or whole volumes, and what follows it."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .cells import Cells
from .kernels import usable

ROWS = 8192  # summed at once; what is computed of them on the way stays in the processor's cache


def normalize(
    features: torch.Tensor,
    where: Cells | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    slope: float = 1.0,
    shortcut: torch.Tensor | None = None,
) -> torch.Tensor:
    """Normalise each sample and channel by mean and biased variance over the sample's cells, add, activate.

    One sample's instance norm over its cells is a batch norm of them: PyTorch's kernel for it needs no temporaries,
    leaves channels last, and keeps statistics in float32. On a CPU we sum them ourselves, see `_Normalized`. Our own
    kernels (see `kernels`) take all samples, the sum and the activation along.

    Args:
        features: (N, C, d, h, w), ordered by sample.
        where: the cells, None for whole volumes.
        weight: (C,), scale.
        bias: (C,), shift.
        eps: added to the variance.
        slope: of the leaky ReLU after it; 1 = none.
        shortcut: (N, C, d, h, w), added before the activation.

    Returns:
        (N, C, d, h, w) in channels-last order.
    """
    if usable(features):
        from .kernels.normalization import normalize_on_gpu

        with torch.cuda.device_of(features):  # Triton takes the current one
            return normalize_on_gpu(features, where, weight, bias, eps, slope, shortcut)
    counts = where.counts if where else [1] * len(features)
    features = _channels_last(features)
    parts = [_normalized(part, weight, bias, eps) for part in features.split(counts) if len(part)]
    if not parts and weight is not None and bias is not None:
        # nothing is visible, but distributed training waits for every gradient
        features = features * weight.view(-1, 1, 1, 1) + bias.view(-1, 1, 1, 1)
    out = parts[0] if len(parts) == 1 else torch.cat(parts or [features])
    if shortcut is not None:
        out = out.add_(shortcut)
    return out if slope == 1 else F.leaky_relu(out, slope, inplace=True)


def _normalized(part: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float) -> torch.Tensor:
    dtype = torch.promote_types(part.dtype, torch.float32)
    if part.device.type != "cpu" or (weight is not None and weight.dtype != dtype):  # the latter in half precision
        return torch.batch_norm(part, weight, bias, None, None, True, 0.0, eps, torch.backends.cudnn.enabled)
    out: torch.Tensor = _Normalized.apply(part, weight, bias, eps)
    return out


class _Normalized(torch.autograd.Function):
    """PyTorch's batch norm of channels-last features on a CPU, but for its statistics.

    It adds value after value in float32. Millions of equal ones, such as air, all round the same way, which shifts mean
    and variance noticeably (`tests/networks/test_instance_norm.py`).
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
    ) -> torch.Tensor:
        mean, variance = _statistics(x.permute(0, 2, 3, 4, 1).flatten(0, 3))
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps))
        ctx.eps = eps
        return torch.batch_norm(x, weight, bias, mean, variance, False, 0.0, eps, False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        x, weight, mean, scale = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        found = torch.ops.aten.native_batch_norm_backward(
            _channels_last(grad), x, weight, None, None, mean, scale, True, ctx.eps, wanted
        )
        return (*(one if needed else None for one, needed in zip(found, wanted, strict=True)), None)


def _statistics(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and biased variance of rows (n, C), in at least float32, put together from those of parts."""
    dtype = torch.promote_types(rows.dtype, torch.float32)
    means, squares = torch.empty(2, -(-len(rows) // ROWS), rows.shape[1], dtype=dtype)
    parts = rows.split(ROWS)
    for number, part in enumerate(parts):
        values = part.to(dtype)
        torch.mean(values, 0, out=means[number])
        torch.sum((values - means[number]).square_(), 0, out=squares[number])
    counts = torch.tensor([len(part) for part in parts], dtype=dtype)[:, None]
    mean = (means * counts).sum(0) / len(rows)
    return mean, (squares + counts * (means - mean).square()).sum(0) / len(rows)


def _channels_last(features: torch.Tensor) -> torch.Tensor:
    """Bring channels last, with strides that say so: those of one sample alone may not, which makes kernels slow."""
    rows = features.permute(0, 2, 3, 4, 1).flatten(0, 3)
    return rows.unflatten(0, [len(features), *features.shape[2:]]).permute(0, 4, 1, 2, 3)


def cancel(features: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Give a bias that was left out, since the normalisation that follows would take it away, its gradient of zero.

    Args:
        features: computed without it.
        bias: (C,), of the convolution; distributed training waits for its gradient.

    Returns:
        The features.
    """
    if bias is None:
        return features
    out: torch.Tensor = _Cancelled.apply(features, bias)
    return out


class _Cancelled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(bias)
        return features.view_as(features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        return grad, torch.zeros_like(ctx.saved_tensors[0])
