"""Chest X-rays from files."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import HistogramNormalize, MapTransform

from ..data.xray_images import read_xray
from ..errors import check_flags


class LoadXrayd(MapTransform):
    """Read images as grey from 0 to 1, whatever their channels and bits, and equalise their histograms.

    Equalisation is global, over the whole image in 256 bins: MONAI's `HistogramNormalize`. ChestX-ray14 was equalised
    by SelfMedMAE with a script that is not published.

    Args:
        keys: of the paths; they become `MetaTensor`s (1, H, W).
        equalise: whether to equalise.
        allow_missing_keys: skip what is not there.
    """

    def __init__(self, keys: KeysCollection, equalise: bool = True, allow_missing_keys: bool = False) -> None:
        check_flags(equalise=equalise)
        super().__init__(keys, allow_missing_keys)
        self.equalise = HistogramNormalize(num_bins=256, min=0, max=1) if equalise else None

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace every path by its image."""
        d = dict(data)
        for key in self.key_iterator(d):
            path = d[key]
            image = torch.from_numpy(read_xray(path))
            if self.equalise is not None and image.min() < image.max():
                image = self.equalise(image)
            d[key] = MetaTensor(torch.as_tensor(image), affine=torch.eye(4), meta={"filename_or_obj": str(path)})
        return d
