"""Two parts of a structure that meet at a slice."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from scipy.ndimage import label

from ..errors import InputError
from .inverted_labels import plain


class DivideAtSliced(MapTransform):
    """Let two parts of a structure meet at one slice, as they do where annotators divide a structure there.

    Networks leave a curved border, which no annotator drew. Every connected piece of the two gets the slice that leaves
    the fewest voxels on the wrong side by the network's probabilities. What the two have together stays.

    Args:
        keys: of the logits (classes, D, H, W).
        lower: class of the part at smaller indices along `axis`.
        upper: class of the other part.
        axis: 0, 1 or 2 for D, H or W.
    """

    def __init__(self, keys: KeysCollection, lower: int, upper: int, axis: int) -> None:
        super().__init__(keys)
        self.lower, self.upper, self.axis = lower, upper, axis

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Swap both parts' logits where the other one is on that side of the slice."""
        d = dict(data)
        for key in self.key_iterator(d):
            if not max(self.lower, self.upper) < len(d[key]):
                raise InputError(
                    f"parts {self.lower} and {self.upper} are to meet at a slice, but the network has {len(d[key])} "
                    "classes, from 0: name two of them"
                )
            d[key] = self._divided(plain(d[key]).detach())
        return d

    def _divided(self, logits: torch.Tensor) -> torch.Tensor:
        classes = logits.argmax(dim=0)
        pieces, count = label(((classes == self.lower) | (classes == self.upper)).cpu().numpy())
        shares = logits.float().softmax(dim=0)
        excess = (shares[self.upper] - shares[self.lower]).double().cpu().numpy()
        size = pieces.shape[self.axis]
        index = np.expand_dims(np.arange(size), [axis for axis in range(3) if axis != self.axis])
        per_slice = np.bincount((pieces * size + index).ravel(), excess.ravel(), (count + 1) * size)
        # of the upper part as much as possible above, so as little as possible below
        below = np.pad(per_slice.reshape(count + 1, size).cumsum(axis=1), ((0, 0), (1, 0)))
        is_upper = index >= below.argmin(axis=1)[pieces]
        wrong = torch.from_numpy((pieces > 0) & (is_upper != (excess > 0))).to(logits.device)
        logits = logits.clone()
        logits[self.lower], logits[self.upper] = (
            torch.where(wrong, logits[second], logits[first])
            for first, second in ((self.lower, self.upper), (self.upper, self.lower))
        )
        return logits
