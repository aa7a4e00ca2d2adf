"""Sliding windows, looked at in the mirror too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import combinations
from typing import Any

import torch
from monai.inferers import SlidingWindowInferer


class MirroredSlidingWindowInferer(SlidingWindowInferer):
    """Average each window's logits over its mirror images, as nnU-Net does at test time.

    Args:
        mirror_axes: spatial axes (0, 1, 2) to mirror; none is the plain inferer, three cost eight passes.
        options: of MONAI's `SlidingWindowInferer`.
    """

    def __init__(self, mirror_axes: Sequence[int] = (), **options: Any) -> None:
        super().__init__(**options)
        axes = [axis + 2 for axis in mirror_axes]
        self.flips = [flip for count in range(len(axes) + 1) for flip in combinations(axes, count)]

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Predict (B, classes, D, H, W) logits for inputs (B, C, D, H, W)."""

        def predict(window: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            views = (network(window.flip(flip), *args, **kwargs).flip(flip) for flip in self.flips)
            return reduce(torch.add, views) / len(self.flips)

        return super().__call__(inputs, predict, *args, **kwargs)
