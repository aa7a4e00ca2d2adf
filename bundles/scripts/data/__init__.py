"""From a user's folder to lists of checked cases: finding, reading, curating, checking and splitting scans."""

from .boxes import RandomBox
from .cached_dataset import CachedDataset
from .case_dataset import CaseDataset
from .cases import labelled_cases
from .curation import curate
from .digest import parts_digest
from .marks import case_marks, image_marks, names_by_image_mark
from .reading import read_scan
from .scan_checks import checked_scans
from .scan_lists import pretraining_scans
from .scans import find_scans
from .seeded_dataset import SeededDataset, StepSampler
from .sharing import rank_share
from .splits import evaluated_cases, hold_out, split_cases
from .xray_images import checked_xrays, find_xrays, read_xray
from .xray_splits import split_xrays
from .xrays import unlabelled_xrays, xray_cases

__all__ = [
    "CachedDataset",
    "CaseDataset",
    "RandomBox",
    "SeededDataset",
    "StepSampler",
    "case_marks",
    "checked_scans",
    "checked_xrays",
    "curate",
    "evaluated_cases",
    "find_scans",
    "find_xrays",
    "hold_out",
    "image_marks",
    "labelled_cases",
    "names_by_image_mark",
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
