"""Resampling to a spacing, without MONAI's `Spacingd`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import InvertibleTransform, MapTransform, Spacing
from monai.utils import ensure_tuple_rep


class Resampled(MapTransform, InvertibleTransform):
    """Resample to a voxel spacing by the array transform `Spacing`, invertibly.

    `Spacingd` of MONAI 1.6 updates every key that begins like its own, which fails inside MONAI Label.

    Args:
        keys: of the items to resample.
        spacing: target in mm per axis.
        mode: interpolation per key: "bilinear" (trilinear), "nearest" or a spline order.
        allow_missing_keys: skip what is not there, such as the label at inference.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spacing: Sequence[float],
        mode: str | int | Sequence[str | int] = "bilinear",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self.spacing = Spacing(pixdim=tuple(spacing), padding_mode="border")

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Resample the items (C, D, H, W) of `data` by their affines."""
        d = dict(data)
        for key, mode in self.key_iterator(d, self.mode):
            d[key] = self.spacing(d[key], mode=mode)
        return d

    def inverse(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Bring the items back to the grid they came from."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.spacing.inverse(d[key])
        return d
