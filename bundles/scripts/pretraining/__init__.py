"""What masked pretraining is made of besides the network: masks, batches and trivial predictors."""

from .batches import DrawMasks, FixedMasks

__all__ = ["DrawMasks", "FixedMasks"]
