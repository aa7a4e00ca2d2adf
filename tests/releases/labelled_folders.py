"""One-channel data with one small target, in nnU-Net raw layout or in plain folders, one scan without a label."""

from __future__ import annotations

from pathlib import Path

import itk
import numpy as np

from tests.releases.volumes import draw_image, draw_label, save


def write_raw(folder: Path, num_cases: int = 8) -> Path:
    """Write `imagesTr/<case>_0000.nii.gz` and `labelsTr/<case>.nii.gz`."""
    for number in range(1, num_cases + 2):
        image, label = draw_pair(number)
        save(folder / "imagesTr" / f"scan_{number}_0000.nii.gz", image)
        if number <= num_cases:
            save(folder / "labelsTr" / f"scan_{number}.nii.gz", label)
    return folder


def write_plain(folder: Path, num_cases: int = 8) -> Path:
    """Write `images/<case>.nrrd` and `labels/<case>.nii.gz`."""
    for number in range(1, num_cases + 2):
        image, label = draw_pair(number)
        save(folder / "images" / f"{number}.nii.gz", image)
        itk.imwrite(itk.imread(str(folder / "images" / f"{number}.nii.gz")), str(folder / "images" / f"{number}.nrrd"))
        (folder / "images" / f"{number}.nii.gz").unlink()
        if number <= num_cases:
            save(folder / "labels" / f"{number}.nii.gz", label)
    return folder


def draw_pair(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scan and its label."""
    rng = np.random.default_rng(number)
    label = draw_label(rng, (1,))
    return draw_image(rng, label), label
