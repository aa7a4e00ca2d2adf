"""Regions: overlapping unions of label values, as in nnU-Net, such as whole tumour, tumour core, enhancing tumour."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform


class RegionTargetsd(MapTransform):
    """Turn a map of label values into one channel of 0 and 1 per region.

    Args:
        keys: of the label maps (1, D, H, W).
        regions: the label values of each region; they may overlap.
    """

    def __init__(self, keys: KeysCollection, regions: Mapping[str, int | Sequence[int]]) -> None:
        super().__init__(keys)
        self.values = [torch.atleast_1d(torch.tensor(values)) for values in regions.values()]

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Replace the label maps by (regions, D, H, W)."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = torch.cat([torch.isin(d[key], values.to(d[key])) for values in self.values]).float()
        return d
