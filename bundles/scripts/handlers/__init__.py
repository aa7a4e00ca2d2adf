"""Ignite handlers: what happens around the training and evaluation steps."""

from .announce import Announce
from .bundle_checkpoint_loader import BundleCheckpointLoader
from .gradients import ClipGradients
from .reconstruction import ReconstructionPictures, ReconstructionReport, SaveReconstructions
from .schedule import PhasedSchedule
from .seeding import SeedSteps
from .segmentation import SaveSegmentations, SegmentationReport
from .training_checkpoint import TrainingCheckpoint

__all__ = [
    "Announce",
    "BundleCheckpointLoader",
    "ClipGradients",
    "PhasedSchedule",
    "ReconstructionPictures",
    "ReconstructionReport",
    "SaveReconstructions",
    "SaveSegmentations",
    "SeedSteps",
    "SegmentationReport",
    "TrainingCheckpoint",
]
