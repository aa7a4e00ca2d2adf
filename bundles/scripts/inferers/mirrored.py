"""Sliding windows, looked at in the mirror too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import torch
from monai.data import MetaTensor
from monai.data.utils import compute_importance_map, dense_patch_slices
from monai.inferers import SlidingWindowInferer
from monai.utils import ensure_tuple_rep, fall_back_tuple
from torch.nn import functional as F

from ..geometry import check_axes
from .fitting import is_out_of_memory, watch

Window = tuple[slice, ...]


class MirroredSlidingWindowInferer(SlidingWindowInferer):
    """Predict a volume window by window, each averaged over its mirror images as nnU-Net does at test time.

    It gives what MONAI's `SlidingWindowInferer` does with less work and memory: windows of one value throughout, such
    as air, are predicted once for each such value; predictions are added in place; logits that would be large are kept
    in half precision, as in nnU-Net. The network shall predict a window by its content alone.

    Args:
        mirror_axes: spatial axes (0, 1, 2) to mirror; none is the plain inferer, three cost eight passes.
        sw_batch_size: windows per pass at most; halved where memory does not suffice. None is what half of a GPU's
            free memory is enough for by the first window's need, 8 at most, and 1 on a CPU, which more make no faster.
        half_above_gib: logits that take more than this in single precision are added up in half precision, GiB.
        options: `roi_size`, `overlap`, `mode`, `sigma_scale`, `padding_mode`, `cval` and `device` (where logits are
            kept) of MONAI's `SlidingWindowInferer`.

    Raises:
        InputError: if `mirror_axes` are not different axes of a window.
    """

    def __init__(
        self,
        mirror_axes: Sequence[int] = (),
        sw_batch_size: int | None = None,
        half_above_gib: float = 2.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.sw_batch_size = sw_batch_size
        self.half_above_gib = half_above_gib
        check_axes(len(self.roi_size) if isinstance(self.roi_size, list | tuple) else 3, mirror_axes=mirror_axes)
        axes = [axis + 2 for axis in mirror_axes]
        self.flips = [flip for count in range(len(axes) + 1) for flip in combinations(axes, count)]

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Predict (B, classes, D, H, W) logits for inputs (B, C, D, H, W)."""
        roi = fall_back_tuple(self.roi_size, inputs.shape[2:])
        missing = [max(side - n, 0) for side, n in zip(roi, inputs.shape[2:], strict=True)]
        # torch counts from the last axis
        margins = [margin for n in reversed(missing) for margin in (n // 2, n - n // 2)]
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        image = F.pad(plain, margins, mode=str(self.padding_mode), value=self.cval)
        windows = self._windows(image.shape[2:], roi)
        weight = compute_importance_map(roi, mode=self.mode, sigma_scale=self.sigma_scale, device=image.device)
        weight, weights = weight.float(), torch.zeros(image.shape[2:], device=image.device)
        for window in windows:
            weights[window] += weight

        def predict(batch: torch.Tensor) -> torch.Tensor:
            return self._average(batch, lambda views: network(views, *args, **kwargs))

        before = [n // 2 for n in missing]
        logits = torch.empty(0)
        for sample, volume in enumerate(image):
            for places, prediction in self._predictions(volume, windows, predict):
                if not logits.numel():
                    logits = self._empty((len(image), prediction.shape[0], *inputs.shape[2:]), image.device)
                for window in places:
                    # weights that sum to one keep the sum within half precision's range
                    share = (weight / weights[window]).to(logits.device)
                    inside, seen = clipped(window, before, inputs.shape[2:])
                    target = logits[sample][(slice(None), *inside)]
                    target.addcmul_(prediction[(slice(None), *seen)].to(logits.device), share[seen])
        return MetaTensor(logits).copy_meta_from(inputs, copy_attr=False) if isinstance(inputs, MetaTensor) else logits

    def _windows(self, size: Sequence[int], roi: Sequence[int]) -> list[Window]:
        sides = zip(roi, size, ensure_tuple_rep(self.overlap, len(roi)), strict=True)
        steps = [max(int(side * (1 - overlap)), 1) if side < n else side for side, n, overlap in sides]
        windows: list[Window] = dense_patch_slices(tuple(size), roi, tuple(steps))
        return windows

    def _predictions(
        self, volume: torch.Tensor, windows: list[Window], predict: Callable[[torch.Tensor], torch.Tensor]
    ) -> Iterator[tuple[list[Window], torch.Tensor]]:
        """Yield predictions (classes, *roi) of a volume (C, D, H, W) and the windows that have them."""
        flat: dict[tuple[float, ...], list[Window]] = {}
        others = []
        for window in windows:
            content = volume[(slice(None), *window)].flatten(1)
            if content[:, 0].equal(content.amin(1)) and content[:, 0].equal(content.amax(1)):
                flat.setdefault(tuple(content[:, 0].tolist()), []).append(window)
            else:
                others.append(window)
        for places in flat.values():
            yield places, predict(volume[(slice(None), *places[0])][None])[0]
        size = self.sw_batch_size or (None if volume.is_cuda else 1)
        while others:
            batch = others[: size or 1]
            fitting = watch(volume.device) if size is None else None
            try:
                predictions = predict(torch.stack([volume[(slice(None), *window)] for window in batch]))
            except RuntimeError as error:
                if len(batch) == 1 or not is_out_of_memory(error):
                    raise
                size = len(batch) // 2
                torch.cuda.empty_cache()
                continue
            size = fitting() if fitting else size
            yield from (([window], prediction) for window, prediction in zip(batch, predictions, strict=True))
            others = others[len(batch) :]

    def _average(self, batch: torch.Tensor, network: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Return the mean of predictions for the mirror images of windows (N, C, *roi), mirrored back."""
        if len(self.flips) == 1:
            return network(batch)
        mean = network(batch).float() / len(self.flips)
        for flip in self.flips[1:]:
            # class by class, since flipping copies
            for total, other in zip(mean.unbind(1), network(batch.flip(flip)).unbind(1), strict=True):
                total.add_(other.flip([axis - 1 for axis in flip]), alpha=1 / len(self.flips))
        return mean

    def _empty(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        large = torch.Size(shape).numel() * 4 > self.half_above_gib * 2**30
        dtype = torch.float16 if large else torch.float32
        device = self.device or device
        try:
            return torch.zeros(shape, dtype=dtype, device=device)
        except torch.OutOfMemoryError:
            logging.getLogger(__name__).warning(
                "logits of %s do not fit on %s: they are kept on the CPU", shape, device
            )
            return torch.zeros(shape, dtype=dtype)


def clipped(window: Window, before: Sequence[int], size: Sequence[int]) -> tuple[Window, Window]:
    """Return the part of a window that is inside of an unpadded volume.

    Args:
        window: of the padded volume.
        before: voxels of padding before the volume, per axis.
        size: voxels of the volume.

    Returns:
        Where the part lies in the volume, and where in the window.
    """
    ends = [(max(part.start - b, 0), min(part.stop - b, n)) for part, b, n in zip(window, before, size, strict=True)]
    shifts = [b - part.start for part, b in zip(window, before, strict=True)]
    inside = tuple(slice(first, last) for first, last in ends)
    return inside, tuple(slice(e[0] + shift, e[1] + shift) for e, shift in zip(ends, shifts, strict=True))
