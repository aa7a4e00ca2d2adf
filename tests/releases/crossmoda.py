"""CrossMoDA 2023 in miniature: three sites, a tumour within the meatus only, scans of the two-label releases."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.releases.volumes import SIZE, draw_image, save

SITES = ("etz", "ldn", "ukm")
EXTRA, INTRA, COCHLEA = 1, 2, 3  # as tabulated volumes have it
INTRA_ONLY = 4


def write_release(folder: Path, num_cases: int = 8, extra: int = EXTRA, intra: int = INTRA) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many labelled scans.
        extra: value of the extra-meatal part, for a release that numbers the other way.
        intra: value of the intra-meatal part.

    Returns:
        The folder.
    """
    home = folder / "TrainingSource"
    for number in range(1, num_cases + 1):
        rng, label = np.random.default_rng(number), np.zeros(SIZE, np.uint8)
        start = rng.integers(3, 6, 3)
        if number != INTRA_ONLY:
            label[tuple(slice(a, a + 8) for a in start)] = extra
        label[tuple(slice(a + 8, a + 11) for a in start)] = intra
        label[tuple(slice(a + 12, a + 15) for a in start)] = COCHLEA
        name = f"crossmoda2023_{SITES[number % 3]}_{number}"
        save(home / f"{name}_ceT1.nii.gz", draw_image(rng, label))
        save(home / f"{name}_Label.nii.gz", label)
    save(folder / "TrainingTarget" / "crossmoda2023_etz_90_T2.nii.gz", np.zeros(SIZE, np.float32))
    for name in ("crossmoda_1", "crossmoda2022_ldn_2"):
        save(folder / "source_training" / f"{name}_ceT1.nii.gz", np.zeros(SIZE, np.float32))
        save(folder / "source_training" / f"{name}_Label.nii.gz", np.ones(SIZE, np.uint8))
    return folder
