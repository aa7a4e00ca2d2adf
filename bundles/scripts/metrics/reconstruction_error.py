"""How well hidden voxels are predicted, and how well without any learning."""

from __future__ import annotations

from collections.abc import Callable

import torch
from ignite.metrics import Average

from ..losses import MaskedMSELoss
from ..pretraining.baselines import interpolate_visible, visible_mean
from ..pretraining.targets import Targets


class ReconstructionError(Average):
    """Mean over cases of the squared error on hidden voxels (intensities in standard deviations); lower is better.

    Args:
        targets: what is predicted of the image, as in `MaskedMSELoss`; None = its voxels as they are.
    """

    def __init__(self, targets: Targets | None = None) -> None:
        loss = MaskedMSELoss(targets)
        super().__init__(output_transform=lambda output: float(loss(output["pred"], output["label"])))


def reconstruction_scores(
    prediction: torch.Tensor,
    image: torch.Tensor,
    hidden: torch.Tensor,
    targets: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> dict[str, float]:
    """Compare a prediction with trivial ones on the same hidden voxels.

    Args:
        prediction: (1, C, *size), of what `targets` makes of the image.
        image: (1, C, *size).
        hidden: (1, 1, *size), bool, True = hidden.
        targets: what is predicted of an image, in the image's layout; None = its voxels as they are. The trivial
            predictors guess an image, of which the same is taken: where cells are normalised, the guess's own cells
            are, so that it is not asked for the brightness of a cell either. A constant guess has an error of about 1.

    Returns:
        `hidden_voxels` and the mean squared errors `mse` of the prediction, `mse_mean` of the visible voxels' mean and
        `mse_interpolation` of harmonic interpolation from the visible voxels.
    """
    where = hidden.expand_as(image)
    targets = targets or torch.Tensor.float
    truth = targets(image)[where]

    def error(guess: torch.Tensor) -> float:
        return float((guess.float()[where] - truth).square().mean())

    return {
        "hidden_voxels": int(hidden.sum()),
        "mse": error(prediction),
        "mse_mean": error(targets(visible_mean(image, hidden))),
        "mse_interpolation": error(targets(interpolate_visible(image, hidden))),
    }
