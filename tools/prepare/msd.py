"""Tasks of the Medical Segmentation Decathlon: `imagesTr/<case>.nii.gz` and `labelsTr/<case>.nii.gz`."""

from __future__ import annotations

from pathlib import Path

from .case import Found
from .download import Download
from .matching import match_cases

BUCKET = "https://msd-for-monai.s3-us-west-2.amazonaws.com"


def find_task(source: Path, prefix: str) -> Found:
    """Return the labelled cases of a task, whose names start with `prefix`; every case is a patient."""
    pattern = rf"(^|/)(?P<role>imagesTr|labelsTr)/(?P<case>{prefix}_\d+)\.nii(\.gz)?$"
    return match_cases(source, pattern, ("imagestr", "labelstr"))


def task_archive(task: str, md5: str) -> tuple[Download, ...]:
    """Return a task's archive at the Decathlon's public bucket; checksums are those of MONAI's `DecathlonDataset`."""
    return (Download(f"{BUCKET}/{task}.tar", f"{task}.tar", md5=md5),)
