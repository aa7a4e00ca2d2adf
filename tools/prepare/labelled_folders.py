"""Data of one channel with no release of its own: nnU-Net raw, or the folders `images` and `labels`."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib

from .case import Case, Found, Prepared
from .itk_images import read_itk
from .matching import match_cases
from .nifti import read_nifti

PATTERN = r"(^|/)(?P<role>images|labels)(Tr)?/(?P<case>[^/]+?)(_0000)?\.(nii|nii\.gz|nrrd|mha)$"


def find_pairs(source: Path) -> Found:
    """Find images with a label of the same name; each is taken as a patient of its own."""
    return match_cases(source, PATTERN, ("images", "labels"))


def read_pair(case: Case) -> Prepared:
    """Read an image and its label as they are."""
    return Prepared([_read(case.files["images"])], _read(case.files["labels"]))


def _read(path: Path) -> nib.Nifti1Image:
    return read_nifti(path) if path.name.endswith((".nii", ".nii.gz")) else read_itk(path)
