"""BraTS cases in miniature: four contrasts and a label in a folder of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.releases.volumes import draw_image, draw_label, save


def write_case(folder: Path, case: str, values: tuple[int, ...], labelled: bool = True) -> None:
    """Write one case into `folder`; its random numbers follow from its name."""
    rng = np.random.default_rng(int("".join(filter(str.isdigit, case))))
    label = draw_label(rng, values)
    for contrast in ("t1n", "t1c", "t2w", "t2f"):
        save(folder / case / f"{case}-{contrast}.nii.gz", draw_image(rng, label))
    if labelled:
        save(folder / case / f"{case}-seg.nii.gz", label)
