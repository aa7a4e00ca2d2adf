"""Regions: overlapping unions of label values, as in nnU-Net, such as whole tumour, tumour core, enhancing tumour."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..errors import InputError


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


class LabelsOfRegionsd(MapTransform):
    """Turn one channel of probabilities per region into one map of label values, for readers that know only those.

    Args:
        keys: of the probabilities (regions, D, H, W).
        regions_class_order: the value to write where the probability of the first, second, ... region exceeds one
            half; later regions overwrite earlier ones, so that inner ones come last.
    """

    def __init__(self, keys: KeysCollection, regions_class_order: Sequence[int]) -> None:
        super().__init__(keys)
        self.order = list(regions_class_order)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Replace the probabilities by (1, D, H, W)."""
        d = dict(data)
        for key in self.key_iterator(d):
            if len(d[key]) != len(self.order):
                raise InputError(
                    f"regions_class_order {self.order} has {len(self.order)} values for the network's {len(d[key])} "
                    "regions: give one value per region"
                )
            labels = torch.zeros_like(d[key][:1])
            for value, probability in zip(self.order, d[key], strict=True):
                labels[0][probability > 0.5] = value
            d[key] = labels
        return d
