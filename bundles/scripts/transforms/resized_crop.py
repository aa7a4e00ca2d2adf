"""Crops of 2D images: the random one of training, and how large the middle one of validation is."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import ensure_tuple_rep

from ..errors import InputError

NUM_TRIES = 10


class RandResizedCropd(RandomizableTransform, MapTransform):
    """Crop a random share of an image's area at a random aspect ratio and resize it (bicubic), as He et al. do.

    Args:
        keys: of the images (C, H, W); all get the same crop.
        size: (H, W) in pixels afterwards.
        scale: range of the share of the area, drawn uniformly.
        ratio: range of width to height, drawn uniformly in its logarithm.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.size = tuple(size)
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Crop and resize."""
        d = dict(data)
        box: tuple[slice, slice] | None = None
        for key in self.key_iterator(d):
            box = box or self.draw(*d[key].shape[1:])
            crop = d[key][(slice(None), *box)][None]
            d[key] = F.interpolate(crop, size=self.size, mode="bicubic", antialias=True, align_corners=False)[0]
        return d

    def draw(self, height: int, width: int) -> tuple[slice, slice]:
        """Draw a crop that fits; after ten that do not, take the middle, as large as the ratios allow."""
        for _ in range(NUM_TRIES):
            area = height * width * self.R.uniform(*self.scale)
            ratio = math.exp(self.R.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < h <= height and 0 < w <= width:
                top, left = self.R.randint(height - h + 1), self.R.randint(width - w + 1)
                return slice(top, top + h), slice(left, left + w)
        h, w = min(height, round(width / self.ratio[0])), min(width, round(height * self.ratio[1]))
        top, left = (height - h) // 2, (width - w) // 2
        return slice(top, top + h), slice(left, left + w)


def cropped_size(patch_size: Sequence[int], image_size: Sequence[int] | int) -> list[int]:
    """Return the size of the crop from the middle of an image, the patch's, if the image holds it.

    Args:
        patch_size: (H, W) in pixels, which the network takes.
        image_size: that images are resized to, in pixels; one number for both.

    Raises:
        InputError: if images are smaller, whose crops no network of this patch would take.
    """
    if any(n < p for n, p in zip(ensure_tuple_rep(image_size, len(patch_size)), patch_size, strict=True)):
        raise InputError(
            f"image_size is {image_size}, here patch_size is {list(patch_size)}: the patch is cut out of the image, "
            "give an image_size at least as large"
        )
    return list(patch_size)
