"""The key metric of a segmentation."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import CumulativeIterationMetric


class SegmentationDice(IgniteMetricHandler):
    """Mean Dice over classes, then over cases, by the rule for empty masks that the test is scored by.

    MONAI's `MeanDice` leaves out what a case lacks, and so chooses networks that invent it; here that scores 0, see
    `EMPTY_RULE`. It also wants a volume for every class, which many classes have no memory for.

    Args:
        num_classes: of label maps (1, D, H, W), with background, 0, which does not count; None for regions that
            overlap, a channel each of (C, D, H, W), all of which count.
    """

    def __init__(self, num_classes: int | None = None) -> None:
        super().__init__(metric_fn=_CaseDice(num_classes), output_transform=from_engine(["pred", "label"]))


class _CaseDice(CumulativeIterationMetric):
    """Gather the cases of all processes."""

    def __init__(self, num_classes: int | None) -> None:
        super().__init__()
        self.num_classes = num_classes

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # logits that a GPU had no room for are on the CPU
        scores = [_dice(*masks) for masks in self._masks(y_pred, y.to(y_pred.device))]
        return torch.stack(scores, dim=1).to(y.device)  # of all cases on one device

    def _masks(self, y_pred: torch.Tensor, y: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if self.num_classes is None:
            yield from zip(y_pred.bool().unbind(1), y.bool().unbind(1), strict=True)
        else:
            yield from ((y_pred[:, 0] == value, y[:, 0] == value) for value in range(1, self.num_classes))

    def aggregate(self) -> float:
        """Return the mean over the cases in which any class counts."""
        per_case = self.get_buffer().nanmean(dim=1)
        return float(per_case.nanmean())


def _dice(predicted: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Return the Dice of masks (B, D, H, W), NaN where both are empty."""
    shared, found, there = (mask.flatten(1).sum(dim=1) for mask in (predicted & true, predicted, true))
    return 2 * shared / (found + there)
