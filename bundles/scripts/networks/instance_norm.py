"""Instance normalisation of whole volumes that leaves channels last."""

from __future__ import annotations

import torch
from torch import nn

from .block_sparse.normalization import normalize


class InstanceNorm(nn.InstanceNorm3d):
    """PyTorch's `InstanceNorm3d` without its copies, so that a network in channels-last order stays in it.

    PyTorch brings features into channels-first order and back, which costs more than what convolutions gain from the
    other one.

    Example:
        >>> image = torch.zeros(1, 2, 4, 4, 4).to(memory_format=torch.channels_last_3d)
        >>> InstanceNorm(2, affine=True)(image).is_contiguous(memory_format=torch.channels_last_3d)
        True
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, D, H, W)."""
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            return super().forward(input)  # a batch of any size; compilers order memory themselves
        return normalize(input.as_subclass(torch.Tensor), None, self.weight, self.bias, self.eps)
