"""BTCV's `RawData/Training/img/img0001.nii.gz` and `RawData/Training/label/label0001.nii.gz`."""

from __future__ import annotations

from pathlib import Path

from ..case import Case, Found, Prepared
from ..matching import match_cases
from ..nifti import read_nifti


def find_cases(source: Path) -> Found:
    """Find the scans, named after their images as the published splits have it; those for the test have no label."""
    return match_cases(
        source, r"(^|/)(?P<role>img|label)(?P<case>\d{4})\.nii(\.gz)?$", ("img", "label"), name="img{case}"
    )


def read_case(case: Case) -> Prepared:
    """Read a scan in HU and its label as they are."""
    return Prepared([read_nifti(case.files["img"])], read_nifti(case.files["label"]))
