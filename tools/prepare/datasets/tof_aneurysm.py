"""Your own TOF-MRA of aneurysms: `imagesTr/<case>_0000.nii.gz` and `labelsTr/<case>.nii.gz`, or `images` and `labels`.

The data of the paper are not public. Files may be NIfTI, NRRD or MHA; 1 is aneurysm.
"""

from __future__ import annotations

from pathlib import Path

from ..case import Case, Found, Prepared
from ..labelled_folders import find_pairs, read_pair


def find_cases(source: Path) -> Found:
    """Find the scans that have a label."""
    return find_pairs(source)


def read_case(case: Case) -> Prepared:
    """Read a scan and its label as they are."""
    return read_pair(case)
