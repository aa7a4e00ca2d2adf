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

    The middle of the box, of the size `patch`, is what augmentation leaves of it. It lies anywhere inside the volume,
    each place as likely; along axes shorter than itself it holds the whole axis. What the box has beyond it may lie
    outside of the volume, where there are zeros. Some patches are centred on a voxel of a class instead, each class of
    the case as likely, and moved no further than into the volume (nnU-Net's oversampling of foreground).

    Args:
        size: of the box, in voxels per axis.
        patch: of its middle; None for the whole box.
        foreground: share of every batch that lies around foreground voxels, rounded as by nnU-Net but to one at least;
            needs `ForegroundVoxelsd` in the preprocessing.
    """

    def __init__(self, size: Sequence[int], patch: Sequence[int] | None = None, foreground: float = 0.0) -> None:
        if not 0 <= foreground <= 1:
            raise InputError(f"foreground is {foreground}: give the share of boxes around foreground, from 0 to 1")
        self.size = tuple(size)
        self.patch = self.size if patch is None else tuple(patch)
        if any(n < side for n, side in zip(self.size, self.patch, strict=True)):
            raise InputError(f"crops of {list(self.size)} hold no patch of {list(self.patch)}: enlarge crop_size")
        self.foreground = foreground

    def seeks_foreground(self, position: int) -> bool:
        """Tell whether the draw at this position of a batch is one around foreground.

        Of the first n positions the share is; so of every batch, however processes divide it.
        """
        return self._num_around_foreground(position + 1) > self._num_around_foreground(position)

    def __call__(self, item: dict[str, Any], seed: int, seek: bool = False) -> dict[str, Any] | None:
        """Return a case's box.

        Args:
            item: a case, its volumes (C, D, H, W) of one size in memory or of an opened entry.
            seed: decides the box.
            seek: centre the patch on a foreground voxel.

        Returns:
            The item with volumes (C, *size); None if there is no foreground to centre on.
        """
        rng = np.random.default_rng(seed)
        centre = self._foreground_voxel(item, rng) if seek else None
        if seek and centre is None:
            return None
        start = self._start(item["image"].shape[1:], rng, centre)
        return {
            key: read_box(value, start, self.size) if getattr(value, "ndim", 0) == 4 else value
            for key, value in item.items()
            if key != FOREGROUND
        }

    def _num_around_foreground(self, batch_size: int) -> int:
        if not (batch_size and self.foreground):
            return 0
        # nnU-Net's third of a batch of one is none, so that small classes would hardly ever be seen
        return max(1, batch_size - round(batch_size * (1 - self.foreground)))

    def _foreground_voxel(self, item: dict[str, Any], rng: np.random.Generator) -> list[int] | None:
        if FOREGROUND not in item:
            raise InputError("boxes around foreground need ForegroundVoxelsd at the end of the preprocessing: add it")
        voxels = item[FOREGROUND]
        if not len(voxels):
            return None
        voxel = voxels[int(rng.integers(voxels.shape[0])), int(rng.integers(voxels.shape[1]))]
        return [int(n) for n in voxel]

    def _start(self, shape: Sequence[int], rng: np.random.Generator, centre: list[int] | None) -> list[int]:
        """Draw the box's first voxel; see the class."""
        start = []
        for axis, (n, side, whole) in enumerate(zip(shape, self.patch, self.size, strict=True)):
            room = n - side
            if room < 0:
                first = -(-room // 2)  # half of what is missing goes before the volume
            elif centre is None:
                first = int(rng.integers(room + 1))
            else:
                first = min(max(centre[axis] - side // 2, 0), room)
            start.append(first - (whole // 2 - side // 2))  # as CenterSpatialCropd cuts the patch out
        return start
