"""ISLES 2022 in miniature: FLAIR on another grid, ADC in several units, an empty mask, one case in the older layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.releases.volumes import draw_image, draw_label, save

FLAIR_SIZE = (40, 36, 10)
FLAIR_AFFINE = np.array([[-0.9, 0, 0, 15.5], [0, -0.85, 0, 15.0], [0, 0, 3.2, -11.0], [0, 0, 0, 1]])
EMPTY, OLDER, WHOLE_NUMBERS, SI = 2, 3, 4, 5  # the cases with one flaw each


def flair_at(world: np.ndarray) -> np.ndarray:
    """The generated FLAIR is a plane: its brightness at points (..., 3) in mm, which linear resampling keeps."""
    return 300 + world @ np.array([4.0, -3.0, 2.0])


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many patients, one session each.

    Returns:
        The folder.
    """
    grid = np.stack(np.meshgrid(*map(np.arange, FLAIR_SIZE), indexing="ij"), axis=-1)
    flair = flair_at(grid @ FLAIR_AFFINE[:3, :3].T + FLAIR_AFFINE[:3, 3]).astype(np.float32)
    for number in range(1, num_cases + 1):
        rng, subject, session = np.random.default_rng(number), f"sub-strokecase{number:04d}", "ses-0001"
        stem, name = Path(subject) / session, f"{subject}_{session}"
        label = draw_label(rng, () if number == EMPTY else (1,))
        dwi = draw_image(rng, label).astype(np.float64)
        adc = np.where(dwi > 0, 0.8 + 0.002 * dwi, 0)
        adc = {WHOLE_NUMBERS: (adc * 1000).astype(np.int16), SI: adc / 1000}.get(number, adc)
        older = number == OLDER
        home = folder / "ISLES-2022" / ("rawdata" if older else "") / stem
        save(home / ("" if older else "dwi") / f"{name}_dwi.nii.gz", dwi)
        save(home / ("" if older else "dwi") / f"{name}_adc.nii.gz", adc)
        save(home / ("" if older else "anat") / f"{name}_{'flair' if older else 'FLAIR'}.nii.gz", flair, FLAIR_AFFINE)
        save(folder / "ISLES-2022" / "derivatives" / stem / f"{name}_msk.nii.gz", label.astype(np.uint16))
    return folder
