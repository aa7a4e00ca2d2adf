"""Where a training crop lies, drawn before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..transforms.foreground import FOREGROUND
from .store import read_box


class RandomBox:
    """Draw a box of a case at random and read nothing else of its volumes.

    A box lies anywhere inside the volume, each place as likely; along axes shorter than the box it is the whole axis
    amid zeros. A share of the boxes is centred on a voxel of a class instead, each class of the case as likely
    (nnU-Net's oversampling of foreground), and moved where it would leave the volume.

    Args:
        size: voxels per axis.
        foreground: share of boxes around foreground voxels; needs `ForegroundVoxelsd` in the preprocessing.
    """

    def __init__(self, size: Sequence[int], foreground: float = 0.0) -> None:
        if not 0 <= foreground <= 1:
            raise InputError(f"foreground is {foreground}: give the share of boxes around foreground, from 0 to 1")
        self.size = tuple(size)
        self.foreground = foreground

    def __call__(self, item: dict[str, Any], seed: int) -> dict[str, Any]:
        """Return a case's box.

        Args:
            item: a case, its volumes (C, D, H, W) of one size in memory or of an opened entry.
            seed: decides the box.

        Returns:
            The item with volumes (C, *size).
        """
        start = self.start(item, np.random.default_rng(seed))
        return {
            key: read_box(value, start, self.size) if getattr(value, "ndim", 0) == 4 else value
            for key, value in item.items()
            if key != FOREGROUND
        }

    def start(self, item: dict[str, Any], rng: np.random.Generator) -> list[int]:
        """Draw the box's first voxel; see the class."""
        # negative where the volume is shorter, of which half goes before it
        room = [n - side for n, side in zip(item["image"].shape[1:], self.size, strict=True)]
        start = [int(rng.integers(r + 1)) if r >= 0 else -(-r // 2) for r in room]
        if rng.random() >= self.foreground:
            return start
        if FOREGROUND not in item:
            raise InputError("boxes around foreground need ForegroundVoxelsd at the end of the preprocessing: add it")
        voxels = item[FOREGROUND]
        if not len(voxels):
            return start
        centre = voxels[int(rng.integers(voxels.shape[0])), int(rng.integers(voxels.shape[1]))]
        return [
            min(max(int(c) - side // 2, 0), r) if r >= 0 else s
            for c, side, r, s in zip(centre, self.size, room, start, strict=True)
        ]
