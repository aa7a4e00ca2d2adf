"""Dictionary transforms that MONAI does not have, or has in a form that MONAI Label cannot run."""

from .crop import is_body, is_nonzero
from .load_xray import LoadXrayd
from .pad import PadEndd
from .regions import LabelsOfRegionsd, RegionTargetsd
from .resample import Resampled
from .resized_crop import RandResizedCropd

__all__ = [
    "LabelsOfRegionsd",
    "LoadXrayd",
    "PadEndd",
    "RandResizedCropd",
    "RegionTargetsd",
    "Resampled",
    "is_body",
    "is_nonzero",
]
