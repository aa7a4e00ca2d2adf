"""From a user's folder to lists of checked cases: finding, reading, curating, checking and splitting scans."""

from .boxes import RandomBox
from .cached_dataset import CachedDataset
from .cases import labelled_cases
from .checked_scans import checked_scans
from .curation import curate
from .rank_share import rank_share
from .reading import read_scan
from .scans import find_scans
from .seeded_dataset import SeededDataset, StepSampler
from .splits import hold_out, split_cases

__all__ = [
    "CachedDataset",
    "RandomBox",
    "SeededDataset",
    "StepSampler",
    "checked_scans",
    "curate",
    "find_scans",
    "hold_out",
    "labelled_cases",
    "rank_share",
    "read_scan",
    "split_cases",
]
