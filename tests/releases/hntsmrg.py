"""HNTS-MRG 2024 in miniature: scans before and during radiotherapy, patients without one or any of the targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.releases.volumes import draw_image, draw_label, save

WITHOUT = {3: (2,), 4: (1,), 5: ()}  # patient to the labels that there are


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many patients.

    Returns:
        The folder.
    """
    train = folder / "HNTSMRG24_train" / "HNTSMRG24_train"
    for number in range(2, num_cases + 2):
        rng = np.random.default_rng(number)
        for when in ("preRT", "midRT"):
            label = draw_label(rng, WITHOUT.get(number, (1, 2)) if when == "preRT" else (1,))
            save(train / str(number) / when / f"{number}_{when}_T2.nii.gz", draw_image(rng, label))
            save(train / str(number) / when / f"{number}_{when}_mask.nii.gz", label)
        for name in ("T2", "mask"):
            save(train / str(number) / "midRT" / f"{number}_preRT_{name}_registered.nii.gz", label)
    return folder
