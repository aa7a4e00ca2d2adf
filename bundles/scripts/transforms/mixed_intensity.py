"""Normalising CT beside other modalities."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, NormalizeIntensity
from monai.utils import convert_to_dst_type

from ..errors import InputError


class NormalizeMixedIntensityd(MapTransform):
    """Z-score each channel, those that are CT after clipping: metal and air must not decide how tissues differ.

    Args:
        keys: of items (C, D, H, W).
        windows: per channel lowest and highest HU to keep, None = not clipped.
        nonzero: take mean and deviation of the non-zero voxels, and change those alone, in channels not clipped.
    """

    def __init__(self, keys: KeysCollection, windows: Sequence[Sequence[float] | None], nonzero: bool = False) -> None:
        super().__init__(keys)
        self.windows = windows
        self.nonzero = nonzero

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Return the items normalised.

        Raises:
            InputError: if there are other channels than windows.
        """
        d: dict[Hashable, Any] = dict(data)
        for key in self.key_iterator(d):
            if len(d[key]) != len(self.windows):
                raise InputError(
                    f"{key} has {len(d[key])} channels, and windows {self.windows} are for {len(self.windows)}: give "
                    "--intensity#windows one for each channel that is used, null for one that is not CT"
                )
            channels = zip(d[key].as_subclass(torch.Tensor).split(1), self.windows, strict=True)
            values = torch.cat([self._normalized(channel, window) for channel, window in channels])
            d[key] = convert_to_dst_type(values.as_subclass(torch.Tensor), d[key])[
                0
            ]  # with its place in the world and what was done to it
        return d

    def _normalized(self, channel: torch.Tensor, window: Sequence[float] | None) -> torch.Tensor:
        out: torch.Tensor = NormalizeIntensity(nonzero=self.nonzero and window is None)(
            channel if window is None else channel.clamp(*window)
        )
        return out
