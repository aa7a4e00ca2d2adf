"""ACDC in miniature: two labelled frames and a 4D cine for each patient, thick slices, a labelled test patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.releases.volumes import draw_image, draw_label, save

SIZE = (28, 26, 10)
AFFINE = np.diag([1.5, 1.5, 8.0, 1.0])


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many training patients.

    Returns:
        The folder.
    """
    patients = [("training", number) for number in range(1, num_cases + 1)] + [("testing", 101)]
    for part, number in patients:
        rng, patient = np.random.default_rng(number), f"patient{number:03d}"
        home = folder / "database" / part / patient
        frames = []
        for frame in (1, 12):
            label = draw_label(rng, (1, 2, 3), SIZE)
            frames.append(draw_image(rng, label).astype(np.int16))
            save(home / f"{patient}_frame{frame:02d}.nii.gz", frames[-1], AFFINE)
            save(home / f"{patient}_frame{frame:02d}_gt.nii.gz", label, AFFINE)
        save(home / f"{patient}_4d.nii.gz", np.stack(frames, axis=-1), AFFINE)
        (home / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n")
    return folder
