"""The places around which SelfMedMAE's code cuts its crops, chosen by the labels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..data.reading import read_scan
from .foreground import FOREGROUND, repeated

CANDIDATES = 20  # looked at for every voxel wanted outside the labels, most of which are outside


class LabelGuidedVoxelsd(MapTransform):
    """Note voxels inside and outside the labels as `foreground`, one row each, as `RandCropByPosNegLabel` chooses them.

    `RandomBox` with `foreground=1` then centres one half of its boxes in the labels and one half on other voxels of the
    image that are not zero. The label stays a file: it is read where it lies and never resampled.

    Args:
        keys: of the image (C, D, H, W), with its affine, after everything that changes its grid; `label`, the label's
            path, is removed.
        count: voxels per row, drawn by a fixed seed.
    """

    def __init__(self, keys: KeysCollection, count: int = 1000) -> None:
        super().__init__(keys)
        self.count = count

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add (rows, count, 3) voxel coordinates; a row without voxels is left out."""
        d = dict(data)
        scan = read_scan(d.pop("label"))
        label, to_world = np.asarray(scan[0]), np.asarray(scan.affine, dtype=float)
        for key in self.key_iterator(d):
            image, from_image = np.asarray(d[key]), np.asarray(d[key].affine, dtype=float)
            rng = np.random.default_rng(0)
            labelled = _some(rng, label != 0, self.count * CANDIDATES)
            inside = _moved(labelled, np.linalg.inv(from_image) @ to_world, image.shape[1:])[1]
            candidates = _some(rng, (image != 0).any(axis=0), self.count * CANDIDATES)
            kept, there = _moved(candidates, np.linalg.inv(to_world) @ from_image, label.shape)
            outside = candidates[kept][label[tuple(there.T)] == 0]
            rows = [repeated(voxels, self.count) for voxels in (inside, outside) if len(voxels)]
            d[FOREGROUND] = torch.from_numpy(np.stack(rows) if rows else np.empty((0, self.count, 3), np.int32))
        return d


def _some(rng: np.random.Generator, chosen: np.ndarray, number: int) -> np.ndarray:
    """Return coordinates (n, 3) of at most so many voxels of a selection (D, H, W), in random order."""
    found = rng.permutation(np.flatnonzero(chosen))[:number]
    return np.stack(np.unravel_index(found, chosen.shape), axis=1)


def _moved(voxels: np.ndarray, affine: np.ndarray, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return which voxels (n, 3) have a nearest one inside another grid (bool), and the coordinates (m, 3) of these."""
    moved = np.rint(voxels @ affine[:3, :3].T + affine[:3, 3]).astype(np.int64)
    within = ((moved >= 0) & (moved < np.asarray(size))).all(axis=1)
    return within, moved[within]
