"""Measures and their rules."""

from .auc import BOOTSTRAP_RULE, auc_report
from .mean_auc import MeanAUC
from .reconstruction_error import ReconstructionError, reconstruction_scores
from .segmentation_scores import EMPTY_RULE, segmentation_scores, summary

__all__ = [
    "BOOTSTRAP_RULE",
    "EMPTY_RULE",
    "MeanAUC",
    "ReconstructionError",
    "auc_report",
    "reconstruction_scores",
    "segmentation_scores",
    "summary",
]
