"""BraTS-METS in miniature: two visits of the first patient, cases without necrosis, one of a later release."""

from __future__ import annotations

from pathlib import Path

from tests.releases.brats import write_case


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many labelled cases.

    Returns:
        The folder.
    """
    home = folder / "ASNR-MICCAI-BraTS2023-MET-Challenge-TrainingData"
    write_case(home, "BraTS-MET-00001-000", (1, 2, 3))
    for number in range(1, num_cases):
        write_case(home, f"BraTS-MET-{number:05d}-001", (2, 3) if number == 2 else (1, 2, 3))
    write_case(home, "BraTS-MET-00900-000", (1, 2, 3, 4))
    return folder
