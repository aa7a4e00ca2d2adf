"""What counts as image when a scan is cropped."""

from __future__ import annotations

import torch


def is_nonzero(image: torch.Tensor) -> torch.Tensor:
    """Select the non-zero voxels (nnU-Net's crop), for `CropForegroundd`; a name, unlike a lambda, can be cached by.

    Of an image that is zero throughout everything is selected, since nothing could be worked on.
    """
    nonzero = image != 0
    return nonzero if nonzero.any() else ~nonzero


def is_body(image: torch.Tensor) -> torch.Tensor:
    """Select what is denser than -500 HU in a CT, so that the air around the body (-1000 HU) is cropped away.

    Of an image without anything so dense everything is selected, as above.
    """
    body = image > -500
    return body if body.any() else ~body
