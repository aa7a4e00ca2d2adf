"""The key metric of a classification."""

from __future__ import annotations

import torch
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import CumulativeIterationMetric

from .auc import mean_auc


class MeanAUC(IgniteMetricHandler):
    """Mean area under the ROC curve over the findings of which the validation has both classes; higher is better."""

    def __init__(self) -> None:
        super().__init__(metric_fn=_AllCases(), output_transform=from_engine(["pred", "label"]))


class _AllCases(CumulativeIterationMetric):
    """Gather the cases of all processes."""

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
        return [y_pred, y]

    def aggregate(self) -> float:
        """Return the mean over findings."""
        prediction, truth = self.get_buffer()
        return mean_auc(prediction.double().cpu().numpy(), truth.double().cpu().numpy())
