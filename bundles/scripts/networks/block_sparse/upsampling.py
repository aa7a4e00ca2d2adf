"""A transposed convolution and the convolution after it as one."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def upsample_and_convolve(features: torch.Tensor, up: nn.ConvTranspose3d, weight: torch.Tensor) -> torch.Tensor:
    """Compute conv(up(features)) without biases.

    Kernels of 2 (stride 2) and 3 make one of 4: 8 instead of 27 taps per voxel, and no upsampled volume. Where the
    volume is small, making that kernel costs more than it saves.

    Args:
        features: (B, C, d, h, w).
        up: transposed convolution whose kernel is its stride.
        weight: (C_out, C_up, 3, 3, 3) of the convolution.

    Returns:
        (B, C_out, D, H, W).
    """
    strides = [int(s) for s in up.stride]
    if not _pays(features, up, weight):
        return F.conv3d(F.conv_transpose3d(features, up.weight, None, strides), weight, padding=1)
    return F.conv_transpose3d(features, F.conv3d(up.weight, weight, padding=2), None, strides, padding=1)


def _pays(features: torch.Tensor, up: nn.ConvTranspose3d, weight: torch.Tensor) -> bool:
    """Compare multiplications: of the volume, with both kernels or one, and of making that one.

    On an H100 the one kernel's gradient takes 3.4 ms from 256 to 128 channels (20^3 voxels), 0.9 from 128 to 64 (40^3):
    above 128 channels two convolutions are faster.
    """
    (outputs, between, *_), inputs = weight.shape, features.shape[1]
    if features.is_cuda and inputs > 128:
        return False
    voxels, taps, kernel = features[:, 0].numel(), 1, 27
    for s in up.stride:
        voxels, taps, kernel = voxels * s, taps * (s + 2), kernel * (s + 2)
    per_coarse_voxel = voxels // features[:, 0].numel()
    apart = voxels * between * (27 * outputs + inputs)
    together = voxels * inputs * outputs * taps // per_coarse_voxel + kernel * inputs * between * outputs
    return together < apart
