"""Random rotation and scaling of image and label, as nnU-Net does them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import CenterSpatialCropd, MapTransform, Randomizable
from monai.transforms.utils import create_rotate, create_scale
from monai.utils import convert_to_tensor, ensure_tuple, ensure_tuple_rep
from torch.nn import functional as F

from .labels_at import is_mixed, labels_at
from .thin import short_axis


class RandRotateZoomd(MapTransform, Randomizable):
    """Rotate and scale at random and cut out the middle, in one resampling.

    One after the other, MONAI's `RandRotated` and `RandZoomd` interpolate images twice, and labels by nearest
    neighbours, which moves a surface by up to half a voxel here and there. As in nnU-Net, each label is interpolated
    linearly here, like the image, and a voxel gets the label that has most of it. A thin patch is turned about its
    short axis only and keeps its length (nnU-Net's "dummy 2D"): turned out of its plane, most of it would be empty.

    Args:
        keys: of items (C, D, H, W) of the same grid.
        label_keys: those of them that hold label maps (1, D, H, W).
        roi_size: voxels of the result. What comes from outside the input is zero, so that should be larger.
        max_rotation: about each axis that is turned about, in degrees; one number for all, or one for each. None is
            nnU-Net's: 30, and 180 in the plane of a thin patch.
        zoom_range: of the scaling, the same for all axes that are scaled; more than 1 enlarges.
        prob: of a rotation, and, independently, of a scaling.
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_keys: KeysCollection,
        roi_size: Sequence[int],
        max_rotation: float | Sequence[float] | None = 30.0,
        zoom_range: tuple[float, float] = (0.7, 1.4),
        prob: float = 0.2,
    ) -> None:
        super().__init__(keys)
        self.label_keys = ensure_tuple(label_keys)
        self.roi_size = tuple(roi_size)
        self.zoom_range = tuple(zoom_range)
        self.prob = prob
        self.crop = CenterSpatialCropd(keys, roi_size)
        short = short_axis(self.roi_size)
        if max_rotation is None:
            max_rotation = 30.0 if short is None else 180.0
        self.max_rotation = np.radians(ensure_tuple_rep(max_rotation, 3))
        self.turned = tuple(short in (None, axis) for axis in range(3))
        self.scaled = tuple(axis != short for axis in range(3))
        self.angles: tuple[float, ...] = (0.0, 0.0, 0.0)
        self.zoom = 1.0

    def randomize(self, data: Any = None) -> None:
        """Draw whether to rotate and to scale, and by how much."""
        rotates, zooms = self.R.random(2) < self.prob
        angles = self.R.uniform(-self.max_rotation, self.max_rotation, size=3)
        zoom = self.R.uniform(*self.zoom_range)
        self.angles = tuple(np.where(self.turned, angles, 0.0)) if rotates else (0.0, 0.0, 0.0)
        self.zoom = zoom if zooms else 1.0

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Return the items in `roi_size`; those that were moved as plain tensors, whose affine would be another."""
        self.randomize()
        if not any(self.angles) and self.zoom == 1.0:
            return self.crop(data)
        d: dict[Hashable, Any] = dict(data)
        grid = self._grid(d[self.first_key(d)].shape[1:])
        for key in self.key_iterator(d):
            item = convert_to_tensor(d[key], track_meta=False)
            d[key] = turned_labels(item, grid) if key in self.label_keys else turned_image(item, grid)
        return d

    def _grid(self, size: Sequence[int]) -> torch.Tensor:
        """Return where each voxel of the result comes from, (1, d, h, w, 3) as `grid_sample` takes it."""
        scales = np.where(self.scaled, 1 / self.zoom, 1.0)
        turn = (create_rotate(3, self.angles) @ create_scale(3, scales))[:3, :3]
        # places are in halves of the input's sides, its last axis first
        steps = (turn * 2 / np.array(size)[:, None])[::-1].T
        sides = zip(size, self.roi_size, self.scaled, strict=True)
        # where slices stay as they are, from where `CenterSpatialCrop` starts: the middle may lie between two of them
        firsts = [-(n - 1) / 2 if scaled else m // 2 - n // 2 - (m - 1) / 2 for m, n, scaled in sides]
        voxels = (np.arange(n) + first for n, first in zip(self.roi_size, firsts, strict=True))
        x, y, z = (torch.from_numpy(np.outer(n, step)).float() for n, step in zip(voxels, steps, strict=True))
        return (x[:, None, None] + y[:, None] + z)[None]


def turned_image(image: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Interpolate an image (C, D, H, W) at the places of `grid_sample`'s grid (1, d, h, w, 3); 0 outside.

    MONAI's `Resample` does so in double precision, which takes longer and differs by rounding.
    """
    return F.grid_sample(image[None].float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def turned_labels(label: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Look labels (1, D, H, W) up at the places of `grid_sample`'s grid (1, d, h, w, 3); 0 outside."""
    sides = enumerate(label.shape[1:])
    place = torch.stack([(grid[0, ..., 2 - axis] + 1) * (n / 2) + 0.5 for axis, n in sides])  # in the padded label
    padded = F.pad(label, (1,) * 6)
    return labels_at(padded, place, is_mixed(padded[0]))
