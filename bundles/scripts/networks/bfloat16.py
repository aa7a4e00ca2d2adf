"""What PyTorch's operators get wrong in bfloat16 on a CPU, and how it is got right."""

from __future__ import annotations

from typing import Any

import torch
from monai.utils import ensure_tuple_rep
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class Bfloat16OnCPU(TorchFunctionMode):
    """Compute with PyTorch's operators, but in ways that give right gradients in bfloat16 on a CPU.

    Of a convolution whose grid is narrower than its kernel, such as at a bottleneck two voxels deep, PyTorch 2.13
    (oneDNN 3.12) gives wrong gradients of the weights on CPUs with AVX-512, or writes beside its memory, if the
    convolution pads; so narrow grids are padded before it and cropped after it (kernels of up to 5 voxels are tested).
    Gradients of a layer norm's weights it adds up in bfloat16, which loses nearly all of them over thousands of tokens;
    so layer norms compute in float32, as they do on a GPU.

    Example:
        >>> conv = torch.nn.Conv3d(1, 1, 3, padding=1)
        >>> with Bfloat16OnCPU(), torch.autocast("cpu", torch.bfloat16):
        ...     conv(torch.zeros(1, 1, 2, 4, 4)).shape
        torch.Size([1, 1, 2, 4, 4])
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace operators by the functions below."""
        ours = {F.conv3d: _convolve, F.conv_transpose3d: _convolve_transposed, F.layer_norm: _normalize}
        return ours.get(func, func)(*args, **(kwargs or {}))


def _normalize(tokens: torch.Tensor, *settings: Any, **named: Any) -> torch.Tensor:
    return F.layer_norm(tokens.float(), *settings, **named)


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
        image, padding = F.pad(image, [p for n in reversed(ensure_tuple_rep(padding, 3)) for p in (n, n)]), 0
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
    size = [n * s for n, s in zip(image.shape[-3:], ensure_tuple_rep(stride, 3), strict=True)]
    cut = ensure_tuple_rep(padding if _is_narrow(size, weight) else 0, 3)
    out = F.conv_transpose3d(image, weight, bias, stride, 0 if any(cut) else padding, *geometry, **named)
    depth, height, width = (slice(c, n - c) for c, n in zip(cut, out.shape[-3:], strict=True))
    return out[..., depth, height, width]


def _is_narrow(size: Any, weight: torch.Tensor) -> bool:
    return any(n < k for n, k in zip(size[-3:], weight.shape[2:], strict=True))
