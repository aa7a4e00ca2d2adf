"""ATLAS R2.0 in miniature: unequal sites, a subject with two sessions, hidden masks in the test part."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.releases.volumes import draw_image, draw_label, save

SITES = (1, 1, 1, 2, 2, 9, 52, 52)


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many labelled sessions; the second is the first subject's.

    Returns:
        The folder.
    """
    for number in range(1, num_cases + 1):
        site = SITES[(number - 1) % len(SITES)]
        _write_session(folder / "ATLAS_2" / "Training", site, 1 if number == 2 else number, 2 if number == 2 else 1)
    _write_session(folder / "ATLAS_2" / "Testing", 60, 1, 1, labelled=False)
    return folder


def _write_session(home: Path, site: int, subject: int, session: int, labelled: bool = True) -> None:
    rng = np.random.default_rng([site, subject, session])
    label = draw_label(rng, (1,))
    name = f"sub-r{site:03d}s{subject:03d}"
    stem = f"{name}_ses-{session}_space-MNI152NLin2009aSym"
    anat = home / f"R{site:03d}" / name / f"ses-{session}" / "anat"
    save(anat / f"{stem}_T1w.nii.gz", draw_image(rng, label))
    if labelled:
        save(anat / f"{stem}_label-L_desc-T1lesion_mask.nii.gz", label.astype(np.float64))
