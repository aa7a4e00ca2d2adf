"""Padding that leaves the origin where it is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import DivisiblePad, MapTransform, SpatialPad


class PadEndd(MapTransform):
    """Pad with zeros at the far end, to multiples of a size and to a least one, and remember the original size.

    Args:
        keys: of the items to pad.
        multiple: voxels per axis.
        minimum: least size, a multiple itself.
    """

    def __init__(self, keys: KeysCollection, multiple: Sequence[int], minimum: Sequence[int]) -> None:
        super().__init__(keys)
        self.pads = [DivisiblePad(k=tuple(multiple), method="end"), SpatialPad(tuple(minimum), method="end")]

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Pad the items (C, D, H, W) and add `size`, a tensor of their (D, H, W) before padding."""
        d = dict(data)
        for key in self.key_iterator(d):
            d["size"] = torch.tensor(d[key].shape[1:])
            for pad in self.pads:
                d[key] = pad(d[key])
        return d
