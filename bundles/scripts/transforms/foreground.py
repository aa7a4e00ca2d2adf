"""Where the classes of a label lie."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

FOREGROUND = "foreground"


class ForegroundVoxelsd(MapTransform):
    """Note some voxels of every class as `foreground`, so that crops around them can be drawn without the label.

    Args:
        keys: of the label.
        count: voxels per class, drawn by a fixed seed; of a smaller class all, repeated.
    """

    def __init__(self, keys: KeysCollection, count: int = 1000) -> None:
        super().__init__(keys)
        self.count = count

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Add (classes present except 0, count, 3) voxel coordinates of the label (1, D, H, W)."""
        d = dict(data)
        for key in self.key_iterator(d):
            label = np.asarray(d[key][0]).astype(np.int32)
            values = [value for value in np.unique(label) if value > 0]
            voxels = [self._sample(np.flatnonzero(label == value), label.shape) for value in values]
            d[FOREGROUND] = torch.from_numpy(np.stack(voxels) if voxels else np.empty((0, self.count, 3), np.int32))
        return d

    def _sample(self, found: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        chosen = np.random.default_rng(0).permutation(found)
        return repeated(np.stack(np.unravel_index(chosen[: self.count], shape), axis=1), self.count)


def repeated(voxels: np.ndarray, count: int) -> np.ndarray:
    """Return the first `count` of some coordinates (n, 3); of fewer all, repeated."""
    return voxels[np.arange(count) % len(voxels)].astype(np.int32)
