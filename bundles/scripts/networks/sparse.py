"""A convolutional encoder that sees visible voxels only, run on the unchanged modules of a `ResidualEncoder`.

Sparsification after the Spark3D paper (Sec. 4): features are zero on hidden voxels after every layer, and normalisation
knows visible voxels alone. This is the dense form, which computes everything and masks it; `block_sparse` gives the
same from visible cells alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from dynamic_network_architectures.architectures.unet import UNetDecoder
from dynamic_network_architectures.building_blocks.residual import BasicBlockD
from dynamic_network_architectures.building_blocks.residual_encoders import ResidualEncoder
from dynamic_network_architectures.building_blocks.simple_conv_blocks import ConvDropoutNormReLU
from torch import nn

from .recompute import run


def encode_visible(
    encoder: ResidualEncoder, image: torch.Tensor, visible: list[torch.Tensor], checkpointing: bool = False
) -> list[torch.Tensor]:
    """Run `encoder` on the visible voxels.

    Args:
        encoder: residual encoder with basic blocks.
        image: (B, C, D, H, W).
        visible: per stage (B, 1, d, h, w), bool, True = visible; of equal or lower resolution from stage to stage.
        checkpointing: keep only the inputs of blocks for the backward pass and compute the rest again.

    Returns:
        Per stage features (B, C_s, d, h, w), exactly zero on hidden voxels.
    """
    features = image
    for layer in encoder.stem.convs:
        features = _layer(layer, features, visible[0])
    skips = []
    for stage, seen in zip(encoder.stages, visible, strict=True):
        for block in stage.blocks:
            features = run(_block, block, features, seen, checkpointing=checkpointing)
        skips.append(features)
    return skips


def encode(encoder: ResidualEncoder, image: torch.Tensor, checkpointing: bool = False) -> list[torch.Tensor]:
    """Run `encoder` on everything.

    Args:
        encoder: residual encoder.
        image: (B, C, D, H, W).
        checkpointing: see `encode_visible`.

    Returns:
        Per stage features (B, C_s, d, h, w).
    """
    features, skips = encoder.stem(image), []
    for stage in encoder.stages:
        for block in stage.blocks:
            features = run(block, features, checkpointing=checkpointing)
        skips.append(features)
    return skips


def decode(decoder: UNetDecoder, skips: Sequence[torch.Tensor], checkpointing: bool = False) -> Any:
    """Run `decoder` as it runs itself, but for checkpointing.

    Args:
        decoder: of the U-Net, or a `ShortenedDecoder`.
        skips: per stage features (B, C_s, d, h, w), full resolution first.
        checkpointing: keep only the inputs of levels for the backward pass and compute the rest again.

    Returns:
        (B, C, D, H, W), or with deep supervision one per level, full resolution first.
    """
    features, outputs = skips[-1], []
    levels = zip(decoder.stages, decoder.transpconvs, decoder.seg_layers, reversed(skips[:-1]), strict=True)
    for level, (stage, up, head, skip) in enumerate(levels, 1):
        features = run(_level, stage, up, features, skip, checkpointing=checkpointing)
        if decoder.deep_supervision or level == len(decoder.stages):
            outputs.append(head(features))
    return outputs[::-1] if decoder.deep_supervision else outputs[-1]


def _level(stage: nn.Module, up: nn.Module, features: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = stage(torch.cat((up(features), skip), dim=1))
    return out


def masked_instance_norm(
    features: torch.Tensor,
    visible: torch.Tensor,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Normalise each sample and channel by mean and biased variance of its visible voxels; hidden ones become zero.

    Args:
        features: (B, C, D, H, W).
        visible: (B, 1, D, H, W), bool.
        weight: (C,), scale.
        bias: (C,), shift.
        eps: added to the variance.

    Returns:
        (B, C, D, H, W) in the dtype of `features`; statistics are taken in at least float32.
    """
    x = features.to(torch.promote_types(features.dtype, torch.float32))
    seen = visible.to(x.dtype)
    count = seen.sum(dim=(2, 3, 4), keepdim=True).clamp(min=1)
    mean = (x * seen).sum(dim=(2, 3, 4), keepdim=True) / count
    centred = (x - mean) * seen
    x = centred * torch.rsqrt(centred.square().sum(dim=(2, 3, 4), keepdim=True) / count + eps)
    if weight is not None and bias is not None:
        x = (x * weight.view(1, -1, 1, 1, 1) + bias.view(1, -1, 1, 1, 1)) * seen
    return x.to(features.dtype)


def _layer(layer: ConvDropoutNormReLU, features: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    for module in layer.all_modules:
        if isinstance(module, nn.InstanceNorm3d):
            features = masked_instance_norm(features, visible, module.weight, module.bias, module.eps)
        else:
            # activations and dropout keep zero at zero, a convolution leaks into hidden voxels and is masked
            features = module(features)
            features = features * visible if isinstance(module, nn.Conv3d) else features
    return features


def _block(block: BasicBlockD, features: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Run one residual block on (B, C, D, H, W) with `visible` (B, 1, d, h, w) at its output's resolution."""
    shortcut = features
    for module in block.skip if isinstance(block.skip, nn.Sequential) else []:
        shortcut = _layer(module, shortcut, visible) if isinstance(module, ConvDropoutNormReLU) else module(shortcut)
        shortcut = shortcut * visible
    features = _layer(block.conv1, features, visible)
    features = _layer(block.conv2, features, visible)
    return block.nonlin2(features + shortcut)
