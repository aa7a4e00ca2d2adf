"""Dictionary transforms that MONAI does not have, or has in a form that MONAI Label cannot run."""

from .crop import is_nonzero
from .foreground import ForegroundVoxelsd
from .pad import PadEndd
from .resample import Resampled

__all__ = ["ForegroundVoxelsd", "PadEndd", "Resampled", "is_nonzero"]
