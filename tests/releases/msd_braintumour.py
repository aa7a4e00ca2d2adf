"""MSD Task01 in miniature: four contrasts on the last axis, macOS's `._*` files, one patient without enhancement."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.releases.volumes import draw_image, draw_label, save


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many with labels.

    Returns:
        The folder.
    """
    task = folder / "Task01_BrainTumour"
    for number in range(1, num_cases + 1):
        rng, name = np.random.default_rng(number), f"BRATS_{number:03d}.nii.gz"
        label = draw_label(rng, (1, 2) if number == 2 else (1, 2, 3))
        contrasts = [draw_image(rng, label) for _ in range(4)]
        save(task / "imagesTr" / name, np.stack(contrasts, axis=-1))
        save(task / "labelsTr" / name, label)
        (task / "imagesTr" / f"._{name}").write_bytes(b"\0\5\26\7Mac OS X")
    return folder
