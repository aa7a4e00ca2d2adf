"""Random rotation and scaling of image and label, as nnU-Net does them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import AffineGrid, CenterSpatialCropd, MapTransform, Randomizable, Resample
from monai.utils import convert_to_tensor, ensure_tuple
from torch.nn import functional as F


class RandRotateZoomd(MapTransform, Randomizable):
    """Rotate and scale at random and cut out the middle, in one resampling.

    One after the other, MONAI's `RandRotated` and `RandZoomd` interpolate images twice, and labels by nearest
    neighbours, which moves a surface by up to half a voxel here and there. As in nnU-Net, each label is interpolated
    linearly here, like the image, and a voxel gets the label that has most of it.

    Args:
        keys: of items (C, D, H, W) of the same grid.
        label_keys: those of them that hold label maps (1, D, H, W).
        roi_size: voxels of the result. What comes from outside the input is zero, so that should be larger.
        max_rotation: about each axis, in degrees.
        zoom_range: of the scaling, the same for all axes; more than 1 enlarges.
        prob: of a rotation, and, independently, of a scaling.
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_keys: KeysCollection,
        roi_size: Sequence[int],
        max_rotation: float = 30.0,
        zoom_range: tuple[float, float] = (0.7, 1.4),
        prob: float = 0.2,
    ) -> None:
        super().__init__(keys)
        self.label_keys = ensure_tuple(label_keys)
        self.roi_size = tuple(roi_size)
        self.max_rotation = math.radians(max_rotation)
        self.zoom_range = tuple(zoom_range)
        self.prob = prob
        self.crop = CenterSpatialCropd(keys, roi_size)
        self.angles: tuple[float, ...] = (0.0, 0.0, 0.0)
        self.zoom = 1.0

    def randomize(self, data: Any = None) -> None:
        """Draw whether to rotate and to scale, and by how much."""
        rotates, zooms = self.R.random(2) < self.prob
        angles = self.R.uniform(-self.max_rotation, self.max_rotation, size=3)
        zoom = self.R.uniform(*self.zoom_range)
        self.angles = tuple(angles) if rotates else (0.0, 0.0, 0.0)
        self.zoom = zoom if zooms else 1.0

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Return the items in `roi_size`; those that were moved as plain tensors, whose affine would be another."""
        self.randomize()
        if not any(self.angles) and self.zoom == 1.0:
            return self.crop(data)
        d: dict[Hashable, Any] = dict(data)
        grid, _ = AffineGrid(rotate_params=self.angles, scale_params=(1 / self.zoom,) * 3)(self.roi_size)
        resample = Resample(mode="bilinear", padding_mode="zeros")
        for key in self.key_iterator(d):
            item = convert_to_tensor(d[key], track_meta=False)
            d[key] = labels_at(item, grid) if key in self.label_keys else resample(item, grid)
        return d


def labels_at(label: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Choose for every place the label with the largest share in linear interpolation between its eight neighbours.

    The same as `resampled_labels` with a linear resampling, which every draw would wait for. Only places whose
    neighbours differ are looked at, so that the cost does not grow with the number of labels.

    Args:
        label: (1, D, H, W).
        grid: places (3 or more, d, h, w) in voxels from the middle of the label map, as MONAI's `AffineGrid` has them.

    Returns:
        Labels (1, d, h, w), 0 outside.
    """
    size = torch.tensor(label.shape[1:]).unsqueeze(1)
    place = grid[:3].flatten(1) + (size - 1) / 2
    low = place.floor()
    padded = F.pad(label[0], (2,) * 6)  # all that is outside counts as two voxels of 0
    index = torch.minimum(low.long().clamp(min=-2), size) + 2
    corners = [torch.tensor(corner).unsqueeze(1) for corner in itertools.product((0, 1), repeat=3)]
    around = torch.stack([padded[tuple(index + corner)] for corner in corners])
    chosen = around[0].clone()
    mixed = (around != chosen).any(dim=0)
    around, part = around[:, mixed], (place - low)[:, mixed]
    weights = torch.stack([torch.where(corner == 1, part, 1 - part).prod(dim=0) for corner in corners])
    shares = torch.stack([(weights * (around == candidate)).sum(dim=0) for candidate in around])
    chosen[mixed] = around.gather(0, shares.argmax(dim=0, keepdim=True))[0]
    return chosen.view(1, *grid.shape[1:])
