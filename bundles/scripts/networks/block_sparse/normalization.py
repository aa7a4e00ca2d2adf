"""Instance normalisation over cells or whole volumes."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def normalize(
    features: torch.Tensor,
    counts: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Normalise each sample and channel by mean and biased variance over the sample's cells.

    One sample's instance norm over its cells is a batch norm of them: PyTorch's kernel for it needs no temporaries,
    takes channels-last order, and keeps statistics in float32.

    Args:
        features: (N, C, d, h, w), ordered by sample.
        counts: cells of each sample, N in sum; ones for whole volumes.
        weight: (C,), scale.
        bias: (C,), shift.
        eps: added to the variance.

    Returns:
        (N, C, d, h, w).
    """
    parts = [
        torch.batch_norm(part, weight, bias, None, None, True, 0.0, eps, torch.backends.cudnn.enabled)
        for part in features.split(list(counts))
        if len(part)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts or [features])
