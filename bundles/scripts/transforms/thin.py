"""Which patches are thin, so that augmentation keeps to their plane."""

from __future__ import annotations

from collections.abc import Sequence

THIN = 3  # times the shortest side, as in nnU-Net


def short_axis(shape: Sequence[int]) -> int | None:
    """Return the short axis of a thin patch of `shape` (D, H, W), in voxels; None of one that is not thin."""
    return list(shape).index(min(shape)) if max(shape) > THIN * min(shape) else None
