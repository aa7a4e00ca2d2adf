"""Ignite handlers: what happens around the training and evaluation steps."""

from .announce import Announce
from .bundle_checkpoint_loader import BundleCheckpointLoader
from .classification import ClassificationReport, SaveProbabilities
from .divergence import StopOnDivergence
from .gradients import ClipGradients
from .occlusion import OcclusionOverlays
from .reconstruction import ReconstructionPictures, ReconstructionReport, SaveReconstructions
from .save_segmentations import SaveDicomSegmentations, SaveSegmentations
from .save_volumes import SaveVolumes
from .schedule import PhasedSchedule
from .seeding import SeedSteps
from .segmentation import SegmentationReport
from .training_checkpoint import TrainingCheckpoint

__all__ = [
    "Announce",
    "BundleCheckpointLoader",
    "ClassificationReport",
    "ClipGradients",
    "OcclusionOverlays",
    "PhasedSchedule",
    "ReconstructionPictures",
    "ReconstructionReport",
    "SaveDicomSegmentations",
    "SaveProbabilities",
    "SaveReconstructions",
    "SaveSegmentations",
    "SaveVolumes",
    "SeedSteps",
    "SegmentationReport",
    "StopOnDivergence",
    "TrainingCheckpoint",
]
