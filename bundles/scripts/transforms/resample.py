"""Resampling to a spacing, without MONAI's `Spacingd`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, Spacing
from monai.utils import ensure_tuple

from .interpolation import places
from .labels_at import is_mixed, labels_at


class Resampled(MapTransform, InvertibleTransform):
    """Resample to a voxel spacing linearly, by the array transform `Spacing`, invertibly.

    `Spacingd` of MONAI 1.6 updates every key that begins like its own, which fails inside MONAI Label. Labels are
    resampled as nnU-Net and nnssl do it, each one linearly: by nearest neighbours, thick slices become stairs.

    Args:
        keys: of the items to resample.
        spacing: target in mm per axis.
        label_keys: those of them that hold label maps.
        allow_missing_keys: skip what is not there, such as the label at inference.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spacing: Sequence[float],
        label_keys: KeysCollection = (),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_keys = ensure_tuple(label_keys)
        self.spacing = Spacing(pixdim=tuple(spacing), padding_mode="border")

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Resample the items (C, D, H, W) of `data` by their affines."""
        return self._each(data, self.spacing)

    def inverse(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Bring the items back to the grid they came from."""
        return self._each(data, self.spacing.inverse)

    def _each(
        self, data: Mapping[Hashable, torch.Tensor], resampled: Callable[[torch.Tensor], torch.Tensor]
    ) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = resampled_labels(d[key], resampled) if key in self.label_keys else resampled(d[key])
        return d


def resampled_labels(label: MetaTensor, resampled: Callable[[torch.Tensor], torch.Tensor]) -> MetaTensor:
    """Give every voxel of a new grid the label with the largest share in it.

    Args:
        label: (1, D, H, W).
        resampled: linear interpolation to the new grid.

    Returns:
        The label map there, of the same type; of equal shares the smaller label's counts.
    """
    moved = resampled(label)
    labels = MetaTensor(torch.empty(moved.shape, dtype=label.dtype)).copy_meta_from(moved)
    known = label.as_tensor()
    mixed = is_mixed(known[0])
    for part, place in places(label.affine, labels.affine, moved.shape[1:]):
        labels.as_tensor()[:, part] = labels_at(known, place, mixed)
    return labels
