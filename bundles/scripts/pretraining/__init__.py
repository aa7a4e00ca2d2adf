"""What masked pretraining is made of besides the network: masks, batches, targets and trivial predictors."""

from .batches import DrawMasks, FixedMasks
from .targets import CellNormalizedTargets, VoxelTargets

__all__ = ["CellNormalizedTargets", "DrawMasks", "FixedMasks", "VoxelTargets"]
