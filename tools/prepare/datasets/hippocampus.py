"""MSD Task04: `imagesTr/hippocampus_001.nii.gz` and `labelsTr/hippocampus_001.nii.gz`."""

from __future__ import annotations

from pathlib import Path

from ..case import Case, Found, Prepared
from ..msd import find_task, task_archive
from ..nifti import read_nifti

DOWNLOADS = task_archive("Task04_Hippocampus", md5="9d24dba78a72977dbd1d2e110310f31b")


def find_cases(source: Path) -> Found:
    """Find the labelled crops; each is taken as a patient of its own, since the release does not say whose they are."""
    return find_task(source, "hippocampus")


def read_case(case: Case) -> Prepared:
    """Read a crop and its label as they are."""
    return Prepared([read_nifti(case.files["imagestr"])], read_nifti(case.files["labelstr"]))
