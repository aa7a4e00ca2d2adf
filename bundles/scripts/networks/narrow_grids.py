"""Convolutions of grids narrower than their kernel, which a CPU cannot train in bfloat16 as they are."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class PadNarrowGrids(TorchFunctionMode):
    """Pad and crop grids narrower than a kernel before and after a 3D convolution instead of in it.

    In bfloat16 on CPUs with AVX-512, PyTorch 2.13 (oneDNN 3.12) then gives wrong gradients of the weights, or writes
    beside its memory; a bottleneck two voxels deep is enough. Without padding of its own a convolution is right.

    Example:
        >>> conv = torch.nn.Conv3d(1, 1, 3, padding=1)
        >>> with PadNarrowGrids(), torch.autocast("cpu", torch.bfloat16):
        ...     conv(torch.zeros(1, 1, 2, 4, 4)).shape
        torch.Size([1, 1, 2, 4, 4])
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace convolutions by the functions below."""
        safe = {F.conv3d: _convolve, F.conv_transpose3d: _convolve_transposed}.get(func, func)
        return safe(*args, **(kwargs or {}))


def _convolve(
    image: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    *geometry: Any,
    **named: Any,
) -> torch.Tensor:
    if _is_narrow(image.shape, weight) and not isinstance(padding, str):
        image, padding = F.pad(image, [p for n in reversed(_three(padding)) for p in (n, n)]), 0
    return F.conv3d(image, weight, bias, stride, padding, *geometry, **named)


def _convolve_transposed(
    image: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    *geometry: Any,
    **named: Any,
) -> torch.Tensor:
    size = [n * s for n, s in zip(image.shape[-3:], _three(stride), strict=True)]
    cut = _three(padding if _is_narrow(size, weight) else 0)
    out = F.conv_transpose3d(image, weight, bias, stride, 0 if any(cut) else padding, *geometry, **named)
    depth, height, width = (slice(c, n - c) for c, n in zip(cut, out.shape[-3:], strict=True))
    return out[..., depth, height, width]


def _is_narrow(size: Any, weight: torch.Tensor) -> bool:
    return any(n < k for n, k in zip(size[-3:], weight.shape[2:], strict=True))


def _three(values: Any) -> list[int]:
    return [int(values)] * 3 if isinstance(values, int) else [int(v) for v in values]
