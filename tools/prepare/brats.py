"""BraTS releases since 2023: `<case>/<case>-{t1n,t1c,t2w,t2f,seg}.nii.gz`, the case ending in the visit."""

from __future__ import annotations

from pathlib import Path

from .case import Case, Found, Prepared
from .matching import match_cases
from .nifti import read_nifti

CONTRASTS = ("t1n", "t1c", "t2w", "t2f")


def find_brats(source: Path, prefix: str) -> Found:
    """Find the cases whose names start with `prefix`; visits of a patient stay together."""
    roles = (*CONTRASTS, "seg")
    pattern = rf"(^|/)(?P<case>(?P<patient>{prefix}-\d+)-\d+)-(?P<role>{'|'.join(roles)})\.nii(\.gz)?$"
    return match_cases(source, pattern, roles, group="{patient}")


def read_brats(case: Case) -> Prepared:
    """Read the contrasts in order, and the label as it is."""
    return Prepared([read_nifti(case.files[contrast]) for contrast in CONTRASTS], read_nifti(case.files["seg"]))
