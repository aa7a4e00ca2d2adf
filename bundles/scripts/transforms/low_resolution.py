"""Random low resolution, within the plane of a thin patch, as nnU-Net simulates it."""

from __future__ import annotations

from typing import Any

import torch
from monai.transforms import RandomizableTransform
from monai.utils import convert_to_dst_type, convert_to_tensor
from torch.nn import functional as F

from .thin import short_axis


class RandLowResolution(RandomizableTransform):
    """Resample an image (C, D, H, W) to fewer voxels and back, as a coarser acquisition would show it.

    MONAI's coarsens all axes; as in nnU-Net the short axis of a thin patch, whose slices are thick already, stays.

    Args:
        prob: of the coarsening.
        zoom_range: of the share of voxels that are left along an axis.
    """

    def __init__(self, prob: float = 0.1, zoom_range: tuple[float, float] = (0.5, 1.0)) -> None:
        super().__init__(prob)
        self.zoom_range = tuple(zoom_range)
        self.zoom = 1.0

    def randomize(self, data: Any = None) -> None:
        """Draw whether to coarsen, and by how much."""
        super().randomize(None)
        self.zoom = self.R.uniform(*self.zoom_range)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return the image, in the same shape."""
        self.randomize()
        if not self._do_transform:
            return image
        kept = short_axis(image.shape[1:])
        coarse = [n if axis == kept else max(1, round(n * self.zoom)) for axis, n in enumerate(image.shape[1:])]
        plain = convert_to_tensor(image, track_meta=False)[None].float()
        # by "area", since torch's "nearest" would move the image by half a voxel
        fine = F.interpolate(F.interpolate(plain, size=coarse, mode="area"), size=image.shape[1:], mode="trilinear")
        return convert_to_dst_type(fine[0], image)[0]
