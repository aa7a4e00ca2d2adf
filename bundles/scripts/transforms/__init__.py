"""Dictionary transforms that MONAI does not have, or has in a form that MONAI Label cannot run."""

from .crop import is_body, is_nonzero
from .pad import PadEndd
from .resample import Resampled

__all__ = ["PadEndd", "Resampled", "is_body", "is_nonzero"]
