"""A `ResidualEncoder` on visible cells: its modules unchanged, the result equal to `sparse.encode_visible`."""

from __future__ import annotations

import torch
from dynamic_network_architectures.building_blocks.residual import BasicBlockD
from dynamic_network_architectures.building_blocks.residual_encoders import ResidualEncoder
from dynamic_network_architectures.building_blocks.simple_conv_blocks import ConvDropoutNormReLU
from torch import nn
from torch.nn import functional as F

from ..recompute import run
from .cells import Cells
from .convolution import convolve
from .layer import finish
from .normalization import cancel


def encode_cells(
    encoder: ResidualEncoder, image: torch.Tensor, where: Cells, num_masked: int, checkpointing: bool = False
) -> list[torch.Tensor]:
    """Run `encoder` on the visible cells.

    Args:
        encoder: residual encoder with basic blocks.
        image: (B, C, D, H, W); what it holds in hidden voxels is seen by the stem at the cells' borders.
        where: the visible cells.
        num_masked: stages that are masked; those after them, coarser than a cell, see whole volumes.
        checkpointing: keep only the inputs of blocks for the backward pass and compute the rest again.

    Returns:
        Per stage features on cells (N, C_s, d, h, w), for unmasked stages in whole volumes (B, C_s, d, h, w).
    """
    features = image
    for number, layer in enumerate(encoder.stem.convs):
        features = _layer(layer, features, where, first=number == 0)
    stages: list[torch.Tensor] = []
    for number, stage in enumerate(encoder.stages):
        if number == num_masked:
            features = where.scatter(features)
        for block in stage.blocks:
            if number < num_masked:
                features = run(_block, block, features, where, checkpointing=checkpointing)
            else:
                features = run(block, features, checkpointing=checkpointing)
        stages.append(features)
    return stages


def _layer(
    layer: ConvDropoutNormReLU,
    features: torch.Tensor,
    where: Cells,
    first: bool = False,
    shortcut: torch.Tensor | None = None,
    activation: nn.Module | None = None,
) -> torch.Tensor:
    conv, *rest = layer.all_modules
    features = _convolve_image(conv, features, where) if first else convolve(conv, features, where)
    return finish([*rest, activation] if activation else rest, features, where, shortcut)


def _convolve_image(conv: nn.Conv3d, image: torch.Tensor, where: Cells) -> torch.Tensor:
    # the image is there as a whole, so its cells bring their halos with them
    return cancel(F.conv3d(where.gather(image, [int(p) for p in conv.padding]), conv.weight), conv.bias)


def _block(block: BasicBlockD, features: torch.Tensor, where: Cells) -> torch.Tensor:
    shortcut = features
    for module in block.skip if isinstance(block.skip, nn.Sequential) else []:
        is_layer = isinstance(module, ConvDropoutNormReLU)
        shortcut = _layer(module, shortcut, where) if is_layer else module(shortcut)
    features = _layer(block.conv1, features, where)
    return _layer(block.conv2, features, where, shortcut=shortcut, activation=block.nonlin2)
