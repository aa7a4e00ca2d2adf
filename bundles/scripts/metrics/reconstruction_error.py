"""How well hidden voxels are predicted, and how well without any learning."""

from __future__ import annotations

from typing import Any

import torch
from ignite.metrics import Average

from ..losses import MaskedMSELoss
from ..pretraining.baselines import interpolate_visible, visible_mean


class ReconstructionError(Average):
    """Mean over cases of the squared error on hidden voxels (intensities in standard deviations); lower is better."""

    def __init__(self) -> None:
        super().__init__(output_transform=_loss)


def reconstruction_scores(prediction: torch.Tensor, image: torch.Tensor, hidden: torch.Tensor) -> dict[str, float]:
    """Compare a prediction with trivial ones on the same hidden voxels.

    Args:
        prediction: (1, C, D, H, W).
        image: (1, C, D, H, W).
        hidden: (1, 1, D, H, W), bool, True = hidden.

    Returns:
        `hidden_voxels` and the mean squared errors `mse` of the prediction, `mse_mean` of the visible voxels' mean and
        `mse_interpolation` of harmonic interpolation from the visible voxels.
    """
    where = hidden.expand_as(image)

    def error(guess: torch.Tensor) -> float:
        return float((guess.float() - image.float())[where].square().mean())

    return {
        "hidden_voxels": int(hidden.sum()),
        "mse": error(prediction),
        "mse_mean": error(visible_mean(image, hidden)),
        "mse_interpolation": error(interpolate_visible(image, hidden)),
    }


def _loss(output: dict[str, Any]) -> float:
    return float(MaskedMSELoss()(output["pred"], output["label"]))
