"""Some of the channels of an image, and their names."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..errors import InputError


class SelectChannelsd(MapTransform):
    """Keep some channels of an image (C, D, H, W), as a model of fewer contrasts needs them.

    Args:
        keys: of the images.
        channels: their numbers, from 0, in the order wanted; None keeps all.

    Raises:
        InputError: if that is no list of different numbers from 0.
    """

    def __init__(self, keys: KeysCollection, channels: Sequence[int] | None = None) -> None:
        super().__init__(keys)
        _check(channels)
        self.channels = None if channels is None else list(channels)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return the data with fewer channels."""
        d = dict(data)
        for key in self.key_iterator(d):
            if self.channels is None:
                continue
            if max(self.channels) >= len(d[key]):
                raise InputError(f"used_channels is {self.channels}: the {key} has channels 0 to {len(d[key]) - 1}")
            d[key] = d[key][self.channels]
        return d


def seen_channels(names: Sequence[str], channels: Sequence[int] | None = None) -> Sequence[str]:
    """Name the channels that `SelectChannelsd` keeps.

    Args:
        names: of all channels, in order.
        channels: numbers of those that are kept; None keeps all.

    Raises:
        InputError: if that is no list of different numbers from 0, or there are fewer names.
    """
    _check(channels)
    if channels is None:
        return names
    if max(channels) >= len(names):
        raise InputError(f"used_channels is {channels}: there are the channels 0 to {len(names) - 1}, {names}")
    return [names[number] for number in channels]


def _check(channels: Any) -> None:
    if channels is not None and not _is_list_of_numbers(channels):
        raise InputError(f"used_channels is {channels!r}: give a list of numbers from 0, such as [1], or None")


def _is_list_of_numbers(value: Any) -> bool:
    numbers = isinstance(value, (list, tuple)) and all(isinstance(n, int) and n >= 0 for n in value)
    return numbers and 0 < len(set(value)) == len(value)
