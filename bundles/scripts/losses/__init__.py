"""Losses that MONAI does not have."""

from .deep_supervision import DeepSupervisionMean
from .masked_mse import MaskedMSELoss

__all__ = ["DeepSupervisionMean", "MaskedMSELoss"]
