"""Batches for a masked autoencoder: image in, image and mask as target, the mask as the network's argument."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .masks import cell_grid, draw_mask, draw_mask_ratio

MaskedBatch = tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor], dict[str, Any]]


class DrawMasks:
    """Draw one mask per sample, by seed, step and position; for the trainer's `prepare_batch`.

    A range of ratios is drawn from once per step, so that every sample of a batch, in whatever process, hides equally
    many cells.

    Args:
        cell_size: voxels per cell and axis.
        mask_ratio: share of hidden cells, or a range of it (default of Spark3D: [0.6, 0.9], Tab. 2b).
        seed: of the masks.
    """

    def __init__(self, cell_size: Sequence[int], mask_ratio: float | Sequence[float], seed: int = 0) -> None:
        draw_mask_ratio(mask_ratio, np.random.default_rng(0))
        self.cell_size = tuple(cell_size)
        self.mask_ratio = mask_ratio
        self.seed = seed

    def __call__(
        self, batch: dict[str, Any], device: torch.device | str, non_blocking: bool = False, **kwargs: Any
    ) -> MaskedBatch:
        """Move a batch of draws to `device` and mask it."""
        image = batch["image"]
        grid = cell_grid(image.shape[2:], self.cell_size)
        masks = []
        for step, position in zip(batch["step"].tolist(), batch["position"].tolist(), strict=True):
            ratio = draw_mask_ratio(self.mask_ratio, np.random.default_rng([self.seed, 1, step]))
            masks.append(draw_mask(grid, ratio, np.random.default_rng([self.seed, 2, step, position])))
        return _to_device(image, torch.stack(masks), device, non_blocking, kwargs)


class FixedMasks:
    """Mask each case always alike, over its whole volume; for the evaluator's `prepare_batch`.

    Args:
        cell_size: voxels per cell and axis.
        mask_ratio: share of hidden cells.
        seed: of the masks, with the case's name.
    """

    def __init__(self, cell_size: Sequence[int], mask_ratio: float, seed: int = 0) -> None:
        self.cell_size = tuple(cell_size)
        self.mask_ratio = draw_mask_ratio(mask_ratio, np.random.default_rng(0))
        self.seed = seed

    def __call__(
        self, batch: dict[str, Any], device: torch.device | str, non_blocking: bool = False, **kwargs: Any
    ) -> MaskedBatch:
        """Move a batch of volumes with their `case` names to `device` and mask it."""
        image = batch["image"]
        grid = cell_grid(image.shape[2:], self.cell_size)
        names = [case.encode(errors="surrogateescape") for case in batch["case"]]
        generators = [np.random.default_rng([self.seed, zlib.crc32(name)]) for name in names]
        masks = torch.stack([draw_mask(grid, self.mask_ratio, rng) for rng in generators])
        return _to_device(image, masks, device, non_blocking, kwargs)


def _to_device(
    image: torch.Tensor, mask: torch.Tensor, device: torch.device | str, non_blocking: bool, kwargs: dict[str, Any]
) -> MaskedBatch:
    image = image.to(device=device, non_blocking=non_blocking, **kwargs)
    mask = mask.to(device=device, non_blocking=non_blocking)
    return image, (image, mask), (mask,), {}
