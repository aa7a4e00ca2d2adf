"""From logits on the network's grid to labels on the scan's, without every class's probabilities at once."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Invertd, InvertibleTransform, MapTransform

from ..errors import InputError


class InvertedLabelsd(MapTransform):
    """Decide on labels by probabilities that are brought back to the scan's grid, one class after the other.

    The same as softmax, MONAI's `Invertd` with interpolation, and argmax; or for regions as sigmoid, `Invertd`, and
    writing each region's value where its probability exceeds one half, later ones over earlier ones. Besides the
    logits it needs a few volumes of one channel, however many classes there are.

    Args:
        keys: of the logits (classes, D, H, W).
        transform: the preprocessing to invert.
        orig_keys: key of the image that went through it.
        regions_class_order: the value to write for the first, second, ... region, so that inner ones come last; None
            for classes that exclude each other.
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

    def _labels(self, logits: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        labels = best = torch.empty(0)
        for index, probability in enumerate(probabilities(logits, exclusive=self.order is None)):
            one = {self.orig_key: image, "probability": MetaTensor(probability[None])}
            inverted = self.invert(one)["probability"]
            values = plain(inverted)
            if index == 0:
                labels, best = torch.zeros_like(inverted), values  # the labels have the scan's affine
            if self.order is not None:
                labels[values > 0.5] = self.order[index]
            elif index > 0:
                labels[values > best] = index
                torch.maximum(best, values, out=best)
        return labels


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor without what MONAI adds to it, which every operation would carry along."""
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor


def probabilities(logits: torch.Tensor, exclusive: bool) -> Iterator[torch.Tensor]:
    """Yield the probability (D, H, W) of each class in single precision.

    Args:
        logits: (classes, D, H, W) in any precision.
        exclusive: softmax over the classes; else sigmoid of each.
    """
    if not exclusive:
        yield from (logit.float().sigmoid() for logit in logits)
        return
    highest = logits.amax(0).float()
    total = torch.zeros_like(highest)
    for logit in logits:
        total += (logit - highest).exp_()
    highest += total.log_()
    del total
    for logit in logits:
        yield (logit - highest).exp_()
