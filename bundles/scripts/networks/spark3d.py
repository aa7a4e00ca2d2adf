"""Spark3D (S3D): a sparse masked autoencoder around a residual-encoder U-Net (arXiv 2410.23132, Sec. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..errors import InputError, check_flags
from ..geometry import is_multiple
from ..pretraining.masks import cell_grid, checked_cell_size, checked_mask, expand_mask
from .block_sparse import Cells, Filling, decode_cells, encode_cells
from .lean_head import LeanHead
from .resenc_unet import ResEncUNet
from .sparse import decode, encode, encode_visible, masked_instance_norm


class Spark3D(nn.Module):
    """Reconstruct hidden cells of an image from what the encoder sees of the visible ones.

    The encoder runs sparsely (see `sparse`). At every stage the features are normalised without affine parameters,
    hidden positions are filled with the stage's mask token, and a 3x3x3 convolution densifies them, at full resolution
    the identity. The ordinary decoder with all skips turns them into the image.

    Args:
        network: the U-Net to pretrain, with as many outputs as inputs; it stays as it is and is what is transferred.
        cell_size: voxels per side of the mask's cells, per axis or one for all; None = a voxel of the bottleneck, as in
            the paper.
        mask_input: zero hidden voxels before the stem. False is the reference implementation, whose visible voxels at
            a cell's border see one voxel of the hidden image.
        sparse: mask after every layer and normalise over visible voxels. False is the plain masked autoencoder of
            Tab. 2a: a dense network on the masked image; it needs `mask_input` on, `tokens` and `densify` off.
        tokens: fill hidden positions with a learnt token per stage (Tab. 2a).
        densify: normalise and convolve the filled features (Tab. 2a).
        execution: "auto" computes visible cells only where something is hidden (see `block_sparse`), "dense" computes
            everything and masks it; the results are equal up to rounding.
        checkpointing: keep less for the backward pass and compute it again: less memory, more time.
        decoder: "full", or "lean": without its level at full resolution, in place of which a transposed convolution
            predicts the voxels from the level below. It is cheaper, another model than the paper's, and leaves that
            level of the network untrained.

    Example:
        >>> net = Spark3D(ResEncUNet(1, 1, features=(8, 16), num_blocks=(1, 1), strides=(1, 2)), cell_size=(8, 8, 8))
        >>> mask = torch.tensor([True, False]).view(1, 1, 2, 1, 1)
        >>> net(torch.zeros(1, 1, 16, 8, 8), mask).shape
        torch.Size([1, 1, 16, 8, 8])
    """

    stem = ("network.encoder.stem.",)
    no_weight_decay = ("mask_tokens.",)

    def __init__(
        self,
        network: ResEncUNet,
        cell_size: int | Sequence[int] | None = None,
        mask_input: bool = True,
        sparse: bool = True,
        tokens: bool = True,
        densify: bool = True,
        execution: str = "auto",
        checkpointing: bool = False,
        decoder: str = "full",
    ) -> None:
        super().__init__()
        check_flags(mask_input=mask_input, sparse=sparse, tokens=tokens, densify=densify, checkpointing=checkpointing)
        if execution not in ("auto", "dense"):
            raise InputError(f"execution is {execution!r}; allowed are 'auto' and 'dense'")
        if decoder not in ("full", "lean"):
            raise InputError(f"decoder is {decoder!r}; allowed are 'full' and 'lean'")
        if not sparse and (tokens or densify):
            raise InputError(
                "sparse is false, so set tokens and densify to false too: a dense encoder has no holes to fill"
            )
        if not (sparse or mask_input):
            raise InputError("sparse is false, so set mask_input to true: a dense encoder must have its input masked")
        if network.in_channels != network.out_channels:
            raise InputError(
                f"the network has {network.in_channels} input and {network.out_channels} output channels; "
                "a masked autoencoder predicts its input, so give both the same number"
            )
        self.network = network
        self.num_layers = network.num_layers
        self.strides = network.total_strides
        self.cell_size = checked_cell_size(self.strides[-1] if cell_size is None else cell_size)
        for stride in self.strides:
            if not is_multiple(self.cell_size, stride) and not self._coarser(stride):
                raise InputError(
                    f"cell_size {list(self.cell_size)} does not fit a stage of stride {list(stride)}: give multiples "
                    f"of the bottleneck's {list(self.strides[-1])} voxels"
                )
        self.mask_input = mask_input
        self.sparse = sparse
        self.execution = execution
        self.checkpointing = checkpointing
        # what a resumed training must share beside the settings, and no shape betrays
        self.options = {"cell_size": list(self.cell_size), "mask_input": mask_input, "sparse": sparse}
        channels = list(network.encoder.output_channels)
        self.mask_tokens = nn.ParameterList(nn.Parameter(torch.zeros(1, c, 1, 1, 1)) for c in channels if tokens)
        for token in self.mask_tokens:
            nn.init.trunc_normal_(token, std=0.02, a=-0.02, b=0.02)
        self.densify = nn.ModuleList(
            nn.Conv3d(c, c, 3, padding=1) if stage else nn.Identity() for stage, c in enumerate(channels) if densify
        )
        for weight in self.densify.parameters():
            if weight.dim() == 5:  # as in the U-Net
                weight.data = weight.data.contiguous(memory_format=torch.channels_last_3d)
        self.lean_head = LeanHead(network, self.mask_tokens) if decoder == "lean" else None

    @property
    def settings(self) -> dict[str, Any]:
        """What a checkpoint says of the network that is transferred."""
        return self.network.settings

    def layer_of(self, name: str) -> int:
        """Return a parameter's depth, that of `ResEncUNet.layer_of`; tokens and densification are as late as can be."""
        return self.network.layer_of(name.removeprefix("network."))

    def check_patch(self, size: Sequence[int]) -> None:
        """Refuse a patch (D, H, W) in voxels that bottleneck or mask cells do not tile.

        Raises:
            InputError: naming the nearest sizes that fit.
        """
        self.network.check_patch(size)
        cell_grid(size, self.cell_size)

    def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Predict the image.

        Args:
            image: (B, C, D, H, W), normalised.
            mask: (B, 1, d, h, w) cells of `cell_size` voxels, bool, True = hidden; None hides nothing.

        Returns:
            (B, C, D, H, W); only its hidden voxels are trained.
        """
        self.network.check_patch(image.shape[2:])
        mask = checked_mask(mask, image, self.cell_size)
        if self.mask_input:
            image = image * ~expand_mask(mask, image.shape[2:])
        decoder, first = self.network.decoder, 0
        if self.lean_head is not None:
            decoder, first = self.lean_head.shortened(decoder), 1
        if self.sparse and self._skips_hidden(mask):
            stages, fillings, where, num_masked = self._encode_cells(image, mask)
            prediction: torch.Tensor = decode_cells(
                decoder, stages[first:], fillings[first:], where, num_masked - first, self.checkpointing
            )
        else:
            prediction = decode(decoder, self.encode(image, mask)[first:], self.checkpointing)
        return prediction

    def encode(self, image: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        """Compute everything: the densified features (B, C_s, d, h, w) for the decoder, full resolution first."""
        if not self.sparse:
            return encode(self.network.encoder, image, self.checkpointing)
        visible = self.visible_voxels(mask, image.shape[2:])
        skips = encode_visible(self.network.encoder, image, visible, self.checkpointing)
        return [self._fill(stage, skip, seen) for stage, (skip, seen) in enumerate(zip(skips, visible, strict=True))]

    def _skips_hidden(self, mask: torch.Tensor) -> bool:
        # estimates of memory have no values in the mask, and a trace must serve other masks than the one it saw
        return self.execution == "auto" and not mask.is_meta and not torch.jit.is_tracing()

    def _encode_cells(
        self, image: torch.Tensor, mask: torch.Tensor
    ) -> tuple[list[torch.Tensor], list[Filling], Cells, int]:
        where = Cells(mask)
        num_masked = sum(not self._coarser(stride) for stride in self.strides)
        stages = encode_cells(self.network.encoder, image, where, num_masked, self.checkpointing)
        tokens = list(self.mask_tokens) or [None] * len(stages)
        convolutions = [c if isinstance(c, nn.Conv3d) else None for c in self.densify] or [None] * len(stages)
        densify = len(self.densify) > 0
        fillings = [Filling(t, densify, c) for t, c in zip(tokens, convolutions, strict=True)]
        return stages, fillings, where, num_masked

    def visible_voxels(self, mask: torch.Tensor, size: Sequence[int]) -> list[torch.Tensor]:
        """Return per stage which voxels are visible, (B, 1, d, h, w).

        A stage coarser than the cells in every axis sees everything, as in the reference with its cells of 16 voxels.
        """
        visible = []
        for stride in self.strides:
            stage_size = [n // s for n, s in zip(size, stride, strict=True)]
            if self._coarser(stride):
                visible.append(torch.ones(mask.shape[0], 1, *stage_size, dtype=torch.bool, device=mask.device))
            else:
                visible.append(~expand_mask(mask, stage_size))
        return visible

    def _coarser(self, stride: Sequence[int]) -> bool:
        return all(s > c for s, c in zip(stride, self.cell_size, strict=True))

    def _fill(self, stage: int, features: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        if len(self.densify):
            features = masked_instance_norm(features, visible)
        if len(self.mask_tokens):
            features = torch.where(visible, features, self.mask_tokens[stage].to(features.dtype))
        return self.densify[stage](features) if len(self.densify) else features
