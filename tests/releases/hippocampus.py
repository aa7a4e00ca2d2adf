"""MSD Task04 in miniature: crops, macOS's `._*` files, scans without label, one crop without its posterior part."""

from __future__ import annotations

import json
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
    task = folder / "Task04_Hippocampus"
    names = [f"hippocampus_{number:03d}.nii.gz" for number in range(1, num_cases + 1)]
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        label = draw_label(rng, (1,) if number == 1 else (1, 2))
        save(task / "imagesTr" / name, draw_image(rng, label))
        save(task / "labelsTr" / name, label)
        for part in ("imagesTr", "labelsTr"):
            (task / part / f"._{name}").write_bytes(b"\0\5\26\7Mac OS X")
    save(task / "imagesTs" / "hippocampus_900.nii.gz", draw_image(rng, label))
    content = {
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
    }
    (task / "dataset.json").write_text(json.dumps(content))
    return folder
