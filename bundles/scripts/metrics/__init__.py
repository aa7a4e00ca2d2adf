"""Measures and their rules."""

from .aggregated_dice import AGGREGATED_RULE, AggregatedDice
from .auc import BOOTSTRAP_RULE, auc_report
from .lesions import LESION_RULE, lesion_scores, lesions_of
from .mean_auc import MeanAUC
from .reconstruction_error import ReconstructionError, reconstruction_scores
from .segmentation import EMPTY_RULE, segmentation_scores, summary
from .segmentation_dice import SegmentationDice

__all__ = [
    "AGGREGATED_RULE",
    "BOOTSTRAP_RULE",
    "EMPTY_RULE",
    "LESION_RULE",
    "AggregatedDice",
    "MeanAUC",
    "ReconstructionError",
    "SegmentationDice",
    "auc_report",
    "lesion_scores",
    "lesions_of",
    "reconstruction_scores",
    "segmentation_scores",
    "summary",
]
