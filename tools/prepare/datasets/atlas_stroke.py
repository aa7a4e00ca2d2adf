"""ATLAS R2.0's `Training/R001/sub-r001s001/ses-1/anat/sub-r001s001_ses-1_space-MNI152NLin2009aSym_T1w.nii.gz`.

The mask is `..._label-L_desc-T1lesion_mask.nii.gz` beside it. Made after descriptions of the release, not tried on its
files, whose archive is encrypted.
"""

from __future__ import annotations

from pathlib import Path

from ..case import Case, Found, Prepared
from ..matching import match_cases
from ..nifti import read_nifti

IMAGE, MASK = "t1w", "t1lesion_mask"
PATTERN = (
    r"(^|/)(?P<case>sub-r(?P<site>\d+)s\d+_ses-\d+)_space-MNI152NLin2009aSym"
    rf"_(label-[LR]_desc-)?(?P<role>{IMAGE}|{MASK})\.nii(\.gz)?$"
)


def find_cases(source: Path) -> Found:
    """Find the sessions with a mask; the sites differ so much that a split must not divide one."""
    return match_cases(source, PATTERN, (IMAGE, MASK), group="r{site}")


def read_case(case: Case) -> Prepared:
    """Read a scan and its mask as they are, in MNI space."""
    return Prepared([read_nifti(case.files[IMAGE])], read_nifti(case.files[MASK]))
