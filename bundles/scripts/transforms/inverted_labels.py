"""From logits on the network's grid to labels on the scan's, without every class's probabilities at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Invertd, InvertibleTransform, MapTransform

from ..errors import NOT_FINITE, InputError
from .interpolation import neighbours, places, weights


class InvertedLabelsd(MapTransform):
    """Decide on labels by probabilities that are brought back to the scan's grid, where that is in question.

    The same as softmax, MONAI's `Invertd` with interpolation, and argmax; or for regions as sigmoid, `Invertd`, and
    writing each region's value where its probability exceeds one half, later ones over earlier ones. Besides the
    logits it needs a few volumes of one channel, however many classes there are; and time for one, since only at
    boundaries all classes are interpolated.

    Args:
        keys: of the logits (classes, D, H, W).
        transform: the preprocessing to invert.
        orig_keys: key of the image that went through it.
        regions_class_order: the value to write for the first, second, ... region, so that inner ones come last; None
            for classes that exclude each other.

    Raises:
        InputError: if such a value is not from 0 to 255.
    """

    def __init__(
        self,
        keys: KeysCollection,
        transform: InvertibleTransform,
        orig_keys: str = "image",
        regions_class_order: Sequence[int] | None = None,
    ) -> None:
        super().__init__(keys)
        self.orig_key = orig_keys
        self.order = None if regions_class_order is None else list(regions_class_order)
        if any(value not in range(256) for value in self.order or ()):
            raise InputError(
                f"regions_class_order is {self.order}: segmentations are files of 8 bits, give values from 0 to 255"
            )
        self.invert = Invertd("probability", transform, orig_keys=orig_keys, nearest_interp=False)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Replace the logits by label values (1, D, H, W) on the grid of the image before its preprocessing."""
        d = dict(data)
        for key in self.key_iterator(d):
            if self.order is not None and len(d[key]) != len(self.order):
                raise InputError(
                    f"regions_class_order {self.order} has {len(self.order)} values for the network's {len(d[key])} "
                    "regions: give one value per region"
                )
            d[key] = self._labels(plain(d[key]).detach(), d[self.orig_key])
        return d

    def _labels(self, logits: torch.Tensor, image: MetaTensor) -> torch.Tensor:
        if not all(bool(logit.isfinite().all()) for logit in logits):
            raise InputError(NOT_FINITE)
        size, logits = logits.shape[1:], logits.flatten(1)
        # how much of a voxel's probability the network's grid holds: all, a part at the rim of a cut, nothing beyond
        # on the CPU, since inverting keeps coordinates of every voxel of the scan in double precision
        whole = MetaTensor(torch.ones(1, *size))
        share = self.invert({self.orig_key: image, "probability": whole})["probability"]
        labels = torch.zeros_like(share)  # they have the scan's affine
        if self.order is None:
            decide = partial(classes_at, logits, *likeliest(logits))
        else:
            decide = partial(regions_at, logits, self.order)
        for part, place in places(image.affine, share.affine, share.shape[1:]):
            index, offset = neighbours(place.to(logits.device), size)
            found = decide(plain(share)[0, part].flatten().to(logits.device), index, offset)
            plain(labels)[0, part] = found.view(place.shape[1:]).to(plain(labels))
        return labels


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor without what MONAI adds to it, which every operation would carry along."""
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor


def likeliest(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the class of the highest logit and the logarithm of softmax's denominator, class after class.

    Args:
        logits: (classes, n) in any precision.
    """
    highest = logits[0].to(torch.float32, copy=True)
    top = torch.zeros_like(highest, dtype=torch.int16)
    for index, logit in enumerate(logits):
        top[logit > highest] = index
        torch.maximum(highest, logit.float(), out=highest)
    total = torch.zeros_like(highest)
    for logit in logits:
        total += (logit - highest).exp_()
    return top, highest.add_(total.log_())


def classes_at(
    logits: torch.Tensor,
    top: torch.Tensor,
    denominator: torch.Tensor,
    share: torch.Tensor,
    index: torch.Tensor,
    offset: torch.Tensor,
) -> torch.Tensor:
    """Decide on the class with the highest interpolated probability.

    Where it is the same at all eight voxels around, it is so in between; the others are few, and computed.

    Args:
        logits: (classes, n) of the network's grid.
        top: (n,) likeliest class.
        denominator: (n,) logarithm of softmax's.
        share: (m,) of the places that the network's grid holds; nothing is class 0.
        index: (8, m) numbers of the voxels around.
        offset: (3, m) of the places from the first of them.

    Returns:
        Classes (m,).
    """
    around = top[index]
    classes = around[0].clone()
    mixed = (around != classes).any(dim=0)
    index, weight = index[:, mixed], weights(offset[:, mixed]).float()
    below, best = denominator[index], torch.zeros_like(weight[0])
    found = torch.zeros_like(classes[mixed])
    for value, logit in enumerate(logits):
        probability = (weight * (logit[index] - below).exp()).sum(dim=0)
        found[probability > best] = value
        torch.maximum(best, probability, out=best)
    classes[mixed] = found
    return classes * (share > 0)


def regions_at(
    logits: torch.Tensor, order: Sequence[int], share: torch.Tensor, index: torch.Tensor, offset: torch.Tensor
) -> torch.Tensor:
    """Decide on each region by whether its interpolated probability exceeds one half, later ones over earlier ones.

    Args:
        logits: (regions, n) of the network's grid.
        order: the value of each region.
        share: (m,) of the places' probability that the network's grid holds.
        index: (8, m) numbers of the voxels around.
        offset: (3, m) of the places from the first of them.

    Returns:
        Values (m,), 0 outside all regions.
    """
    values = torch.zeros_like(share)
    for value, logit in zip(order, logits, strict=True):
        around = logit[index] > 0
        inside = around.all(dim=0)
        unclear = around.any(dim=0) & (~inside | (share < 1))
        weight = weights(offset[:, unclear]).float()
        probability = (weight * logit[index[:, unclear]].float().sigmoid()).sum(dim=0)
        inside[unclear] = share[unclear] * probability > 0.5
        values[inside] = value
    return values
