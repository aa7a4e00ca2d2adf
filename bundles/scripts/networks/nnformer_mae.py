"""Masked-autoencoder pretraining of nnFormer.

Of the paper only the abstract is public; this is our design, after MAE (He et al. 2022) for a hierarchical encoder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from ..errors import InputError
from ..geometry import is_multiple
from ..pretraining.masks import cell_grid, checked_cell_size, checked_mask, expand_mask, visible_cells
from .nnformer import NNFormer
from .nnformer.attention import bias_tables
from .nnformer.geometry import product, quotient
from .nnformer.reconstruction import Fusion, Predictor
from .nnformer.visible import NUM_GLOBAL, as_tokens, encode_visible, positions, scatter
from .recompute import run

MODES = ("sparse", "dense")


class NNFormerMAE(nn.Module):
    """Reconstruct hidden cells of an image from what the encoder of an nnFormer sees of the visible ones.

    The outputs of all stages are fused on the grid of the last stage but one, mask tokens stand for hidden ones, and a
    light decoder predicts the voxels, meant for targets normalised per cell of `target_size`.

    Args:
        network: to pretrain, built with `drop_path=0`; its encoder is trained under its own names, its decoder is not
            kept.
        mode: "sparse" runs the encoder on visible cells alone (see `nnformer.visible`); it needs first stages whose
            windows tile a cell and two last stages whose window is the whole grid. "dense" runs it on everything, with
            hidden voxels zero and their tokens replaced by a learnt one (SimMIM, without its leak).
        cell_size: voxels per side of the mask's cells, per axis or one for all; None = one token of the bottleneck.
        decoder_dim: channels of the light decoder, a multiple of 6 and of its heads.
        decoder_depth: blocks of it.
        decoder_heads: heads of it.

    Example:
        >>> net = NNFormer(1, 3, embed_dim=12, num_heads=(1, 2, 3, 6), windows=(2, 2, 4, 2), stem_strides=(2, 1))
        >>> mae = NNFormerMAE(net, decoder_dim=24, decoder_depth=1, decoder_heads=2)
        >>> mask = torch.arange(8).view(1, 1, 2, 2, 2) > 1
        >>> mae(torch.zeros(1, 1, 32, 32, 32), mask).shape
        torch.Size([1, 1, 32, 32, 32])
    """

    stem = NNFormer.stem

    def __init__(
        self,
        network: NNFormer,
        mode: str = "sparse",
        cell_size: int | Sequence[int] | None = None,
        decoder_dim: int = 384,
        decoder_depth: int = 4,
        decoder_heads: int = 12,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise InputError(f"mode is {mode!r}; allowed are {', '.join(MODES)}")
        if decoder_dim % 6 or decoder_dim % decoder_heads:
            raise InputError(f"decoder_dim is {decoder_dim}; give a multiple of 6 and of the {decoder_heads} heads")
        self.geometry = geometry = network.geometry
        if any(odd for padding in geometry.output_paddings[:-1] for odd in padding):
            raise InputError("an axis is odd before the last stage; only the last may be, so that cells tile the patch")
        self.in_channels = network.in_channels
        self.settings = network.settings
        self.sparse = mode == "sparse"
        self.target_size = geometry.strides[-2]
        last = zip(self.target_size, geometry.down_strides[-1], geometry.output_paddings[-1], strict=True)
        bottleneck = [n if odd else n * s for n, s, odd in last]
        self.cell_size = checked_cell_size(bottleneck if cell_size is None else cell_size)
        self._check_cells()
        # what whole volumes are padded to: dense cells may be smaller than what targets are normalised by
        self.pad_size = tuple(map(math.lcm, self.cell_size, self.target_size))
        # what a resumed training must share beside the settings, and no shape betrays
        self.options = {"mode": mode, "cell_size": list(self.cell_size), "decoder_heads": decoder_heads}
        self.encoder = network.encoder
        self.num_layers = network.num_layers
        self.fusion = Fusion(geometry, self.encoder.dims, decoder_dim)
        self.predictor = Predictor(self.in_channels, self.target_size, decoder_dim, decoder_depth, decoder_heads)
        self.mask_token = nn.Parameter(torch.empty(decoder_dim if self.sparse else self.encoder.dims[0]))
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    @property
    def no_weight_decay(self) -> tuple[str, ...]:
        """Names of the bias tables; the mask token is one-dimensional as norms and biases are."""
        return bias_tables(self)

    def layer_of(self, name: str) -> int:
        """Return a parameter's depth, that of `Encoder.layer_of`; fusion and predictor are as late as can be."""
        return self.encoder.layer_of(name)

    def check_patch(self, size: Sequence[int]) -> None:
        """Refuse a patch (D, H, W) in voxels that the network cannot take, or not in this mode.

        Raises:
            InputError: naming what fits.
        """
        self.geometry.check_patch(size)
        cell_grid(size, self.cell_size)
        if not self.sparse:
            return
        for window, grid in list(zip(self.geometry.windows, self.geometry.grids(size), strict=True))[-NUM_GLOBAL:]:
            if window != grid:
                stages = zip(self.geometry.windows, self.geometry.strides, strict=True)
                sizes = [list(product(*stage)) for stage in stages][-NUM_GLOBAL:]
                raise InputError(
                    f"patch_size {list(size)} has a stage of {list(grid)} tokens with windows of {list(window)}: mode "
                    f"'sparse' needs windows as large as the grid in the two last stages (they cover {sizes} voxels); "
                    "change patch_size or windows, or set mode to 'dense'"
                )

    def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Predict the image.

        Args:
            image: (B, C, D, H, W), normalised.
            mask: (B, 1, d, h, w) cells of `cell_size` voxels, bool, True = hidden; in mode "sparse" equally many in
                every sample. None hides nothing.

        Returns:
            (B, C, D, H, W); only its hidden voxels are trained.
        """
        self.check_patch(image.shape[2:])
        mask = checked_mask(mask, image, self.cell_size)
        grid = quotient(image.shape[2:], self.target_size)
        if self.sparse and bool(mask.all()):
            # where a whole volume is hidden by cells, a patch of it may show nothing: then there is nothing to encode
            return self.predictor(self.mask_token.expand(len(image), *grid, -1))
        tokens = self.fusion(self.encode(image, mask))
        if self.sparse:
            unit = quotient(self.cell_size, self.target_size)
            places = positions(visible_cells(mask), mask.shape[2:], unit)
            tokens = scatter(as_tokens(tokens, len(image)), places, grid, self.mask_token)
        return self.predictor(tokens)

    def encode(self, image: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        """Return the encoder's output per stage: (B*V, d, h, w, C_s) of V visible cells if sparse, else (B, ...)."""
        if self.sparse:
            return encode_visible(self.encoder, self.geometry, image, visible_cells(mask), self.cell_size)
        # voxels first: a token's convolutions reach into its neighbours
        seen = image.masked_fill(expand_mask(mask, image.shape[2:]), 0)
        tokens = run(self.encoder.stem, seen, checkpointing=self.encoder.checkpointing)
        hidden = expand_mask(mask, tokens.shape[1:4]).movedim(1, -1)
        return self.encoder.from_tokens(torch.where(hidden, self.mask_token.to(tokens.dtype), tokens))

    def _check_cells(self) -> None:
        strides, windows = self.geometry.strides, self.geometry.windows
        if not self.sparse:
            if not is_multiple(self.cell_size, strides[0]):
                raise InputError(
                    f"cell_size {list(self.cell_size)} does not fit: give multiples of a token's {list(strides[0])} "
                    "voxels"
                )
            return
        if any(self.geometry.output_paddings[-1]):
            raise InputError("an axis is odd at the last stage, so no cell covers whole tokens: set mode to 'dense'")
        local = list(zip(strides, windows, strict=True))[:-NUM_GLOBAL]
        units = [strides[-1], *(product(stride, window) for stride, window in local)]
        for unit in units:
            if not is_multiple(self.cell_size, unit):
                raise InputError(
                    f"cell_size {list(self.cell_size)} cuts tokens or windows of {list(unit)} voxels: mode 'sparse' "
                    "needs cells that windows of the first stages tile; change cell_size, or set mode to 'dense'"
                )
