"""From a user's folder to lists of checked cases: finding, reading, curating, checking and splitting scans."""

from .boxes import RandomBox
from .cached_dataset import CachedDataset
from .case_dataset import CaseDataset
from .case_marks import case_marks
from .cases import labelled_cases
from .checked_scans import checked_scans
from .curation import curate
from .parts_digest import parts_digest
from .pretraining_scans import pretraining_scans
from .rank_share import rank_share
from .reading import read_scan
from .scan_reader import ScanReader
from .scans import find_scans
from .seeded_dataset import SeededDataset, StepSampler
from .splits import hold_out, split_cases
from .xray_cases import unlabelled_xrays, xray_cases
from .xray_images import checked_xrays, find_xrays, read_xray
from .xray_splits import split_xrays

__all__ = [
    "CachedDataset",
    "CaseDataset",
    "RandomBox",
    "ScanReader",
    "SeededDataset",
    "StepSampler",
    "case_marks",
    "checked_scans",
    "checked_xrays",
    "curate",
    "find_scans",
    "find_xrays",
    "hold_out",
    "labelled_cases",
    "parts_digest",
    "pretraining_scans",
    "rank_share",
    "read_scan",
    "read_xray",
    "split_cases",
    "split_xrays",
    "unlabelled_xrays",
    "xray_cases",
]
