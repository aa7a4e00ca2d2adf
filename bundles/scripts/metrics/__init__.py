"""Measures and their rules."""

from .reconstruction_error import ReconstructionError, reconstruction_scores
from .segmentation_scores import EMPTY_RULE, segmentation_scores, summary

__all__ = ["EMPTY_RULE", "ReconstructionError", "reconstruction_scores", "segmentation_scores", "summary"]
