"""nnFormer as the class that is pretrained and fine-tuned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ...errors import InputError, check_flags
from .attention import bias_tables
from .decoder import Decoder
from .encoder import Encoder
from .geometry import Geometry


class NNFormer(nn.Module):
    """nnFormer (arXiv 2109.03201, IEEE TIP 2023), 3D.

    The defaults are the network for Synapse; `synapse`, `acdc` and `tumour` are the three that were published. A patch
    must halve as the strides say and hold every window; a stage whose window is the whole grid attends globally.

    Args:
        in_channels: image channels.
        out_channels: classes including background.
        embed_dim: channels of the first stage, doubled from stage to stage.
        num_heads: heads per stage.
        depths: blocks per stage; the decoder has as many at its stages.
        stem_strides: of the two strided convolutions that make tokens.
        windows: tokens of an attention window per stage, one number or one per axis.
        down_strides: 1 or 2 per axis, between the stages.
        down_paddings: of the convolutions between the stages; None = 1, and 0 where the stride is 1. An axis with an
            odd number of tokens is halved with padding 0.
        decoder_heads: heads per stage of the decoder; None = as the encoder.
        deep_supervision: while training, return the predictions of all decoder stages, full resolution first.
        drop_path: rate of the last block, rising linearly from 0, in encoder and decoder; 0 for pretraining.
        shift_mask: keep apart what shifting brings together from opposite ends of the patch.
        quirks: as the official code: its slip in the index of the relative position bias, tokens that attend to
            padding, and without deep supervision no spare heads. Its published weights need it.
        checkpointing: compute activations again in the backward pass: less memory for more time.

    Example:
        >>> net = NNFormer(1, 3, embed_dim=12, num_heads=(1, 2, 3, 6), windows=(2, 2, 2, 1), stem_strides=(2, 1))
        >>> net.eval()(torch.zeros(1, 1, 16, 16, 16)).shape
        torch.Size([1, 3, 16, 16, 16])
    """

    stem = ("encoder.stem.",)
    head = ("decoder.heads.",)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        embed_dim: int = 192,
        num_heads: Sequence[int] = (6, 12, 24, 48),
        depths: Sequence[int] = (2, 2, 2, 2),
        stem_strides: Sequence[int | Sequence[int]] = ((2, 2, 2), (1, 2, 2)),
        windows: Sequence[int | Sequence[int]] = (4, 4, 8, 4),
        down_strides: Sequence[int | Sequence[int]] = (2, 2, 2),
        down_paddings: Sequence[int | Sequence[int]] | None = None,
        decoder_heads: Sequence[int] | None = None,
        deep_supervision: bool = False,
        drop_path: float = 0.2,
        shift_mask: bool = True,
        quirks: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        check_flags(
            deep_supervision=deep_supervision, shift_mask=shift_mask, quirks=quirks, checkpointing=checkpointing
        )
        self.geometry = Geometry.of(stem_strides, windows, down_strides, down_paddings)
        decoder_heads = list(num_heads[:-1] if decoder_heads is None else decoder_heads)
        _check_heads(embed_dim, num_heads, decoder_heads, depths, len(self.geometry.windows))
        if not 0 <= drop_path < 1:
            raise InputError(f"drop_path is {drop_path}; give a probability below 1, such as 0.2")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.deep_supervision = deep_supervision
        self.settings: dict[str, Any] = {
            "name": "NNFormer",
            "in_channels": in_channels,
            "out_channels": out_channels,
            "embed_dim": embed_dim,
            "num_heads": list(num_heads),
            "depths": list(depths),
            "stem_strides": [list(s) for s in self.geometry.stem_strides],
            "windows": [list(w) for w in self.geometry.windows],
            "down_strides": [list(s) for s in self.geometry.down_strides],
            "down_paddings": [list(p) for p in self.geometry.down_paddings],
            "decoder_heads": decoder_heads,
            "shift_mask": shift_mask,
            "quirks": quirks,
        }
        block = {"shift_mask": shift_mask, "quirks": quirks}
        self.encoder = Encoder(
            in_channels, self.geometry, embed_dim, num_heads, depths, drop_path, checkpointing, **block
        )
        num_outputs = 1 if quirks and not deep_supervision else len(decoder_heads)
        self.decoder = Decoder(
            out_channels,
            self.geometry,
            embed_dim,
            decoder_heads,
            depths[:-1],
            num_outputs,
            drop_path,
            checkpointing,
            **block,
        )
        if not deep_supervision:
            # kept, so that weights fit with and without; but DDP would wait for gradients that never come
            self.decoder.heads[1:].requires_grad_(False)

    @classmethod
    def synapse(cls, in_channels: int = 1, out_channels: int = 14, **settings: Any) -> NNFormer:
        """The network for abdominal CT, patches of 64 x 128 x 128 voxels, trained with deep supervision."""
        return cls(in_channels, out_channels, **{"deep_supervision": True, **settings})

    @classmethod
    def acdc(cls, in_channels: int = 1, out_channels: int = 4, **settings: Any) -> NNFormer:
        """The network for cardiac cine MRI, patches of 14 x 160 x 160 voxels; with quirks without shift mask."""
        geometry = {
            "embed_dim": 96,
            "num_heads": (3, 6, 12, 24),
            "stem_strides": ((1, 2, 2), (1, 2, 2)),
            "windows": ((3, 5, 5), (3, 5, 5), (7, 10, 10), (3, 5, 5)),
            "down_strides": ((1, 2, 2), 2, 2),
            "down_paddings": ((0, 1, 1), 1, (0, 1, 1)),
            "shift_mask": not settings.get("quirks", False),
        }
        return cls(in_channels, out_channels, **{**geometry, **settings})

    @classmethod
    def tumour(cls, in_channels: int = 4, out_channels: int = 4, **settings: Any) -> NNFormer:
        """The network for brain tumours, patches of 128^3 voxels; with quirks twice the heads in the decoder."""
        geometry = {
            "embed_dim": 96,
            "num_heads": (3, 6, 12, 24),
            "stem_strides": (2, 2),
            "decoder_heads": (6, 12, 24) if settings.get("quirks", False) else (3, 6, 12),
        }
        return cls(in_channels, out_channels, **{**geometry, **settings})

    @property
    def num_layers(self) -> int:
        """See `Encoder.num_layers`."""
        return self.encoder.num_layers

    @property
    def no_weight_decay(self) -> tuple[str, ...]:
        """Names of the bias tables, which are positions."""
        return bias_tables(self)

    def layer_of(self, name: str) -> int:
        """See `Encoder.layer_of`."""
        return self.encoder.layer_of(name)

    def check_patch(self, size: Sequence[int]) -> None:
        """Refuse a patch (D, H, W) in voxels that the network cannot take down and up again.

        Raises:
            InputError: naming the nearest size that fits.
        """
        self.geometry.check_patch(size)

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Predict logits.

        Args:
            image: (B, C, D, H, W).

        Returns:
            (B, out_channels, D, H, W), or while training with deep supervision a list of them by stage.
        """
        self.check_patch([int(n) for n in image.shape[2:]])
        several = self.training and self.deep_supervision
        outputs = self.decoder(self.encoder(image), len(self.encoder.depths) - 1 if several else 1)
        return outputs if several else outputs[0]


def _check_heads(
    embed_dim: int, num_heads: Sequence[int], decoder_heads: Sequence[int], depths: Sequence[int], num_stages: int
) -> None:
    if not len(num_heads) == len(depths) == len(decoder_heads) + 1 == num_stages >= 2 or min(depths) < 1:
        raise InputError(
            f"num_heads, depths, decoder_heads and windows have {len(num_heads)}, {len(depths)}, {len(decoder_heads)} "
            f"and {num_stages} entries; give one per stage, for the decoder one less, and at least one block each"
        )
    for heads in (num_heads, decoder_heads):
        for stage, n in enumerate(heads):
            if embed_dim % 2 or (embed_dim * 2**stage) % n:
                raise InputError(
                    f"embed_dim {embed_dim} with num_heads {list(heads)} does not fit: the channels of stage "
                    f"{stage + 1}, {embed_dim * 2**stage}, must be a multiple of its heads, and embed_dim even"
                )
