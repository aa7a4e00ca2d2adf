"""What counts as image when a scan is cropped."""

from __future__ import annotations

import torch


def is_nonzero(image: torch.Tensor) -> torch.Tensor:
    """Select the non-zero voxels (nnU-Net's crop), for `CropForegroundd`; a name, unlike a lambda, can be cached by."""
    return image != 0
