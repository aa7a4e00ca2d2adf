"""ACDC's `training/patient001/patient001_frame01.nii.gz` and `..._frame01_gt.nii.gz`, two frames for each patient."""

from __future__ import annotations

from pathlib import Path

from ..case import Case, Found, Prepared
from ..matching import match_cases
from ..nifti import read_nifti

IMAGE, LABEL = ".nii", "_gt.nii"
PATTERN = r"(^|/)(?P<case>(?P<patient>patient\d+)_frame\d+)(?P<role>(_gt)?\.nii)(\.gz)?$"


def find_cases(source: Path) -> Found:
    """Find end-diastole and end-systole of the 100 training patients; the challenge's test patients are left out."""
    found = match_cases(source, PATTERN, (IMAGE, LABEL), group="{patient}")
    tests = {case.name for case in found.cases if "testing" in case.files[IMAGE].relative_to(source).parts}
    reasons = dict.fromkeys(sorted(tests), "it is one of the challenge's test part, which the bundle keeps out")
    return Found([case for case in found.cases if case.name not in tests], found.refused | reasons)


def read_case(case: Case) -> Prepared:
    """Read a frame and its label as they are."""
    return Prepared([read_nifti(case.files[IMAGE])], read_nifti(case.files[LABEL]))
