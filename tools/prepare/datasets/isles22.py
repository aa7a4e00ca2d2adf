"""ISLES 2022's `sub-strokecase0001_ses-0001_{dwi,adc,FLAIR,msk}.nii.gz` in the folders `sub-...` and `derivatives`."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from ..case import Case, Found, Prepared
from ..download import Download
from ..matching import match_cases
from ..nifti import make_nifti, read_nifti
from ..resampling import covered, resample_linearly

DOWNLOADS = (Download("https://zenodo.org/records/7153326/files/ISLES-2022.zip", "ISLES-2022.zip"),)
# older releases have all images in rawdata/<sub>/<ses> and a lower-case flair: the names tell enough
PATTERN = r"(^|/)(?P<case>(?P<patient>sub-[a-z]+\d+)_ses-\d+)_(?P<role>dwi|adc|flair|msk)\.nii(\.gz)?$"
ADC_UNITS = ((50.0, np.inf, 1e-3, "1e-6 mm2/s"), (0.0, 0.05, 1e3, "mm2/s"))


def find_cases(source: Path) -> Found:
    """Find the sessions with DWI, ADC, FLAIR and lesion mask."""
    return match_cases(source, PATTERN, ("dwi", "adc", "flair", "msk"), group="{patient}")


def read_case(case: Case) -> Prepared:
    """Read DWI and ADC, the latter in 1e-3 mm2/s, and put the FLAIR onto their grid."""
    dwi, adc, flair, mask = (read_nifti(case.files[role]) for role in ("dwi", "adc", "flair", "msk"))
    adc, unit = _in_common_unit(adc)
    grids = [f"{'x'.join(map(str, image.shape))} ({_spacing(image)} mm)" for image in (flair, dwi)]
    notes = [unit, f"FLAIR resampled linearly from {grids[0]} to the grid of the DWI {grids[1]}, not registered"]
    brain = np.asanyarray(dwi.dataobj) > 0
    share = float(covered(flair, dwi)[brain].mean()) if brain.any() else 1.0
    if share < 0.995:
        notes.append(f"FLAIR covers {share:.0%} of the DWI, the rest is 0")
    return Prepared([dwi, adc, resample_linearly(flair, dwi)], mask, notes)


def _in_common_unit(adc: nib.Nifti1Image) -> tuple[nib.Nifti1Image, str]:
    """Return an ADC map in 1e-3 mm2/s, and a note; tissue has 0.5 to 3 of them, which tells the unit of the file."""
    values = np.asanyarray(adc.dataobj)
    high = float(np.percentile(values[values > 0], 95)) if (values > 0).any() else 1.0
    for low, limit, factor, unit in ADC_UNITS:
        if low < high < limit:
            return make_nifti(values * np.float32(factor), adc.affine), f"ADC converted from {unit} to 1e-3 mm2/s"
    return adc, "ADC in 1e-3 mm2/s"


def _spacing(image: nib.Nifti1Image) -> str:
    return "x".join(f"{step:.3g}" for step in image.header.get_zooms()[:3])
