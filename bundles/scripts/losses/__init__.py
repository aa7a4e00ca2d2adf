"""Losses that MONAI does not have."""

from .masked_mse import MaskedMSELoss

__all__ = ["MaskedMSELoss"]
