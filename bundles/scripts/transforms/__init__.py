"""Dictionary transforms that MONAI does not have, or has in a form that MONAI Label cannot run."""

from .crop import is_nonzero
from .pad import PadEndd
from .regions import LabelsOfRegionsd, RegionTargetsd
from .resample import Resampled

__all__ = ["LabelsOfRegionsd", "PadEndd", "RegionTargetsd", "Resampled", "is_nonzero"]
