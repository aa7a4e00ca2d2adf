"""The key metric of a segmentation."""

from __future__ import annotations

import torch
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import CumulativeIterationMetric, compute_dice


class SegmentationDice(IgniteMetricHandler):
    """Mean Dice over classes, then over cases, by the rule for empty masks that the test is scored by.

    MONAI's `MeanDice` leaves out what a case lacks, and so chooses networks that invent it; here that scores 0, see
    `EMPTY_RULE`.

    Args:
        include_background: whether the first channel counts, as with regions.
    """

    def __init__(self, include_background: bool = False) -> None:
        super().__init__(metric_fn=_CaseDice(include_background), output_transform=from_engine(["pred", "label"]))


class _CaseDice(CumulativeIterationMetric):
    """Gather the cases of all processes."""

    def __init__(self, include_background: bool) -> None:
        super().__init__()
        self.first = 0 if include_background else 1

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # logits that a GPU had no room for are on the CPU
        predicted, true = y_pred[:, self.first :], y[:, self.first :].to(y_pred.device)
        dice = compute_dice(predicted, true, include_background=True, ignore_empty=True)
        invented = predicted.flatten(2).any(dim=2) & ~true.flatten(2).any(dim=2)
        return torch.where(invented, torch.zeros_like(dice), dice).to(y.device)  # of all cases on one device

    def aggregate(self) -> float:
        """Return the mean over the cases in which any class counts."""
        per_case = self.get_buffer().nanmean(dim=1)
        return float(per_case.nanmean())
