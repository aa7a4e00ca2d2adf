"""Dictionary transforms that MONAI does not have, or has in a form that MONAI Label cannot run."""

from .crop import is_body, is_nonzero
from .each_channel import RandEachChanneld
from .foreground import ForegroundVoxelsd
from .inverted_labels import InvertedLabelsd
from .label_guided import LabelGuidedVoxelsd
from .load_scan import LoadScand
from .load_xray import LoadXrayd
from .low_resolution import RandLowResolution
from .mirroring import flipped_axes
from .mixed_intensity import NormalizeMixedIntensityd
from .pad import PadEndd
from .regions import RegionTargetsd
from .resample import Resampled
from .resized_crop import RandResizedCropd, cropped_size
from .rotate_zoom import RandRotateZoomd
from .select_channels import SelectChannelsd, seen_channels

__all__ = [
    "ForegroundVoxelsd",
    "InvertedLabelsd",
    "LabelGuidedVoxelsd",
    "LoadScand",
    "LoadXrayd",
    "NormalizeMixedIntensityd",
    "PadEndd",
    "RandEachChanneld",
    "RandLowResolution",
    "RandResizedCropd",
    "RandRotateZoomd",
    "RegionTargetsd",
    "Resampled",
    "SelectChannelsd",
    "cropped_size",
    "flipped_axes",
    "is_body",
    "is_nonzero",
    "seen_channels",
]
