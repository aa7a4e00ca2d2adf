"""The MS dataset of Muslim et al. in miniature: wrong z spacings with the table of the true ones, a mask of 255."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl

from tests.releases.volumes import draw_image, draw_label, save

SIZE = (28, 26, 10)
HEADER = np.array([[-0.9, 0, 0, 12.0], [0, 0.9, 0, -11.0], [0, 0, 1.0, -5.0], [0, 0, 0, 1]])
BRIGHT_MASK = 3


def true_spacing(patient: int) -> float:
    """Return what the table says, in mm."""
    return 5.0 + 0.25 * (patient % 5)


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many patients.

    Returns:
        The folder.
    """
    home = folder / "Brain MRI Dataset of Multiple Sclerosis with Consensus Manual Lesion Segmentation"
    for patient in range(1, num_cases + 1):
        rng = np.random.default_rng(patient)
        for contrast in ("Flair", "T1", "T2"):
            label = draw_label(rng, (1,), SIZE)
            image = draw_image(rng, label).astype(np.int16)
            label = label * np.uint8(255 if patient == BRIGHT_MASK else 1)
            moved = HEADER + 3.0 * np.eye(4, k=3)  # a mask's header differs from its image's
            save(home / f"Patient-{patient}" / f"{patient}-{contrast}.nii", image, HEADER)
            save(home / f"Patient-{patient}" / f"{patient}-LesionSeg-{contrast}.nii", label, moved)
    _write_table(home / "Supplementary Table 2 for  sequence parameters .xlsx", num_cases)
    _write_table(home / "Supplementary Table 1 for patient info.xlsx", 0)
    return folder


def _write_table(path: Path, num_cases: int) -> None:
    """Write the table with a header of two rows, whose upper cells span several columns."""
    book = openpyxl.Workbook()
    sheet = book.active
    columns = ("Slice Thickness", "Spacing Between Slices", "Repetition Time")
    sheet.append([None, *(c if n == 0 else None for c in ("T1", "T2", "FLAIR") for n in range(len(columns)))])
    sheet.append(["ID", *columns * 3])
    for patient in range(1, num_cases + 1):
        sheet.append([patient, 5, 9.5, 500, 5, 8.5, 4000, 5, true_spacing(patient), 9000])
    for first in (2, 5, 8):
        sheet.merge_cells(start_row=1, end_row=1, start_column=first, end_column=first + 2)
    book.save(path)
