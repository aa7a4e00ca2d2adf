"""BTCV in miniature: CT in HU stored as int16, 13 organs, one case without a gallbladder, test scans without labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.releases.volumes import SIZE, draw_image, draw_label, save

NUMBERS = (*range(1, 11), *range(21, 41))
GALLBLADDER = 4


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many with labels; with 30 they are the names of the published splits.

    Returns:
        The folder.
    """
    raw = folder / "RawData"
    for number in NUMBERS[:num_cases]:
        rng = np.random.default_rng(number)
        organs = [value for value in range(1, 14) if (number, value) != (2, GALLBLADDER)]
        label = draw_label(rng, organs)
        image = draw_image(rng, label, outside=-1000).astype(np.int16)
        save(raw / "Training" / "img" / f"img{number:04d}.nii.gz", image)
        save(raw / "Training" / "label" / f"label{number:04d}.nii.gz", label)
    save(raw / "Testing" / "img" / "img0061.nii.gz", np.zeros(SIZE, np.int16))
    return folder
