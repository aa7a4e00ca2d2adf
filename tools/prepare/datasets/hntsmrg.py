"""HNTS-MRG 2024's `HNTSMRG24_train/2/preRT/2_preRT_T2.nii.gz` and `2_preRT_mask.nii.gz`; mid-RT is not read."""

from __future__ import annotations

from pathlib import Path

from ..case import Case, Found, Prepared
from ..download import Download
from ..matching import match_cases
from ..nifti import read_nifti

DOWNLOADS = (Download("https://zenodo.org/records/11199559/files/HNTSMRG24_train.zip", "HNTSMRG24_train.zip"),)
PATTERN = r"(^|/)(?P<case>\d+)/preRT/(?P=case)_preRT_(?P<role>T2|mask)\.nii(\.gz)?$"


def find_cases(source: Path) -> Found:
    """Find the scans before radiotherapy, one for each patient."""
    return match_cases(source, PATTERN, ("t2", "mask"), name="hntsmrg_{case:0>3}")


def read_case(case: Case) -> Prepared:
    """Read a scan and its label as they are."""
    return Prepared([read_nifti(case.files["t2"])], read_nifti(case.files["mask"]))
