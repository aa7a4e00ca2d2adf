"""Random intensity transforms of one channel at a time, as nnU-Net draws them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, RandomizableTransform


class RandEachChanneld(MapTransform, RandomizableTransform):
    """Hand each channel by itself to a random transform, so that contrasts of one patient vary apart.

    MONAI draws a blur or a gamma once for all channels, and takes their extremes and means together.

    Args:
        keys: of items (C, D, H, W).
        transform: of one channel (1, D, H, W); its own probability is that of a channel.
        prob: that an item's channels are handed over at all.
    """

    def __init__(self, keys: KeysCollection, transform: Randomizable, prob: float = 1.0) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.transform = transform

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandEachChanneld:
        """Seed this and the transform of a channel from one state."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(state=self.R)
        return self

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Return the items with every channel as it was drawn."""
        d: dict[Hashable, Any] = dict(data)
        self.randomize(None)
        if self._do_transform:
            for key in self.key_iterator(d):
                d[key] = torch.cat([self.transform(channel) for channel in d[key].split(1)])
        return d
