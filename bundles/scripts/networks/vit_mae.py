"""A masked autoencoder around a vision transformer (He et al., CVPR 2022; SelfMedMAE, arXiv 2203.05573)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..pretraining.masks import checked_mask, visible_cells
from ..pretraining.patches import unpatchify
from .positions import sincos_positions
from .vit import Block, ViT, ViTNetwork, check_heads, initialize_linear


class ViTMAE(ViTNetwork):
    """Predict the hidden patches of an image from the visible ones, which alone the encoder is given.

    The mask's cells are the encoder's patches. What is predicted (voxels, or voxels normalised per patch) is up to the
    loss. The defaults are SelfMedMAE's in 3D; He et al. decode 2D images with 512 channels and 16 heads, the authors of
    SelfMedMAE with 256 and 8.

    Args:
        in_channels: image channels.
        image_size: voxels per axis, two or three.
        decoder_hidden_size: channels of a token in the decoder.
        decoder_depth: number of the decoder's blocks.
        decoder_num_heads: of the decoder's attention.
        **encoder: further arguments of `ViT`.

    Example:
        >>> net = ViTMAE(1, (32, 16, 16), 12, 1, 2, hidden_size=12, depth=1, num_heads=2)
        >>> net(torch.zeros(1, 1, 32, 16, 16), torch.tensor([True, False]).view(1, 1, 2, 1, 1)).shape
        torch.Size([1, 1, 32, 16, 16])
    """

    no_weight_decay = (*ViTNetwork.no_weight_decay, "decoder.mask_token")

    def __init__(
        self,
        in_channels: int,
        image_size: Sequence[int],
        decoder_hidden_size: int = 384,
        decoder_depth: int = 8,
        decoder_num_heads: int = 12,
        **encoder: Any,
    ) -> None:
        super().__init__(ViT(in_channels, image_size, **encoder))
        self.out_channels = in_channels
        self.cell_size = self.encoder.patch_size
        self.decoder = MAEDecoder(self.encoder, decoder_hidden_size, decoder_depth, decoder_num_heads)
        self.settings = {"name": "ViTMAE", **self.encoder.settings}
        # what a resumed training must share beside the settings, and no shape betrays
        self.options = {"decoder_num_heads": decoder_num_heads}

    def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Predict the image.

        Args:
            image: (B, C, *size), normalised.
            mask: (B, 1, *grid) patches, bool, True = hidden, equally many in each sample; None hides nothing.

        Returns:
            (B, C, *size); only its hidden voxels are trained.
        """
        visible = visible_cells(checked_mask(mask, image, self.cell_size))
        patches = self.decoder(self.encoder(image, visible), visible)
        return unpatchify(patches, self.cell_size, image.shape[2:])


class MAEDecoder(nn.Module):
    """Light transformer from visible tokens to all patches; hidden ones start as one learnt token and their position.

    Args:
        encoder: whose tokens come in and whose patches go out.
        hidden_size: channels of a token.
        depth: number of blocks.
        num_heads: of the attention.
    """

    position_embedding: torch.Tensor

    def __init__(self, encoder: ViT, hidden_size: int, depth: int, num_heads: int) -> None:
        super().__init__()
        check_heads(hidden_size, num_heads)
        self.embed = nn.Linear(encoder.hidden_size, hidden_size)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, hidden_size))
        self.register_buffer("position_embedding", sincos_positions(encoder.grid, hidden_size))
        self.blocks = nn.ModuleList(Block(hidden_size, num_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(hidden_size, eps=1e-6)
        self.head = nn.Linear(hidden_size, math.prod(encoder.patch_size) * encoder.in_channels)
        self.apply(initialize_linear)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, tokens: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """Predict all patches.

        Args:
            tokens: (B, 1 + k, C) of the encoder, the class token first.
            visible: (B, k), which patches they are.

        Returns:
            (B, n, voxels * channels) as `patchify` orders them.
        """
        token, seen = self.embed(tokens).split([1, visible.shape[1]], dim=1)
        index = visible[..., None].expand_as(seen)
        filled = self.mask_token.to(seen.dtype).expand(len(seen), self.position_embedding.shape[1], -1)
        tokens = torch.cat([token, filled.scatter(1, index, seen) + self.position_embedding], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens)[:, 1:])
