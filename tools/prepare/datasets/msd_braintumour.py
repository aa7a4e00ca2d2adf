"""MSD Task01: `imagesTr/BRATS_001.nii.gz`, 4D with FLAIR, T1w, T1gd and T2w last, and `labelsTr/BRATS_001.nii.gz`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scripts.errors import InputError

from ..case import Case, Found, Prepared
from ..msd import find_task, task_archive
from ..nifti import make_nifti, read_nifti

DOWNLOADS = task_archive("Task01_BrainTumour", md5="240a19d752f0d9e9101544901065d872")


def find_cases(source: Path) -> Found:
    """Find the labelled patients."""
    return find_task(source, "BRATS")


def read_case(case: Case) -> Prepared:
    """Divide the 4D file into its contrasts."""
    stack = read_nifti(case.files["imagestr"])
    voxels = np.asanyarray(stack.dataobj)
    if voxels.ndim != 4:
        raise InputError(f"the image has the size {voxels.shape}, expected are four contrasts on a fourth axis")
    images = [make_nifti(voxels[..., contrast], stack.affine) for contrast in range(voxels.shape[-1])]
    return Prepared(images, read_nifti(case.files["labelstr"]), ["4D file divided into a file for each contrast"])
