"""A decoder that stops one level short of full resolution, where half of its work is."""

from __future__ import annotations

from collections.abc import Iterable

from dynamic_network_architectures.architectures.unet import UNetDecoder
from torch import nn

from ..errors import InputError
from .resenc_unet import ResEncUNet


class LeanHead(nn.ConvTranspose3d):
    """Predict the voxels of an image from the last but one level of a U-Net's decoder.

    What it replaces stays in the network, so that its state dict is the same, but is not trained.

    Args:
        network: the U-Net.
        tokens: per stage what stands in hidden voxels, empty if nothing does; that of full resolution is not needed.
    """

    def __init__(self, network: ResEncUNet, tokens: Iterable[nn.Parameter]) -> None:
        channels, stride = network.encoder.output_channels, network.encoder.strides
        if len(channels) < 3:
            raise InputError("a lean decoder needs a network of three stages at least: choose decoder 'full'")
        kernel = (stride[1][0], stride[1][1], stride[1][2])
        super().__init__(channels[1], network.out_channels, kernel, kernel)
        decoder = network.decoder
        for part in (decoder.stages[-1], decoder.transpconvs[-1], decoder.seg_layers):
            part.requires_grad_(False)
        for token in list(tokens)[:1]:
            token.requires_grad_(False)

    def shortened(self, decoder: UNetDecoder) -> ShortenedDecoder:
        """Return the decoder without its last level and with this head; its parameters stay where they are."""
        return ShortenedDecoder(decoder, self)


class ShortenedDecoder:
    """The levels that are left, under the names of a `UNetDecoder`.

    Args:
        decoder: the whole one.
        head: what follows its last but one level.
    """

    deep_supervision = False

    def __init__(self, decoder: UNetDecoder, head: nn.Module) -> None:
        self.stages, self.transpconvs = decoder.stages[:-1], decoder.transpconvs[:-1]
        self.seg_layers = [*decoder.seg_layers[: len(self.stages) - 1], head]
