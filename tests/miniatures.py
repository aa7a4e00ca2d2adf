"""Datasets of a few small volumes, made to a bundle's card, for runs that prove the road and no quality."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

SIZE = (26, 24, 20)
AFFINE = np.array([[-1.2, 0, 0, 14.0], [0, -1.1, 0, 13.0], [0, 0, 1.6, -9.0], [0, 0, 0, 1]])  # LPS, not isotropic


def make_miniature(folder: Path, card: dict[str, Any], num_cases: int = 8) -> Path:
    """Write a dataset in MSD layout with a card's channels and labels, one box per label value.

    Args:
        folder: to make.
        card: of a segmentation bundle.
        num_cases: how many.

    Returns:
        The folder.
    """
    dataset = card["dataset"]
    names = [f"case_{number:02d}.nii.gz" for number in range(num_cases)]
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        label = _boxes(rng, len(dataset["labels"]) - 1)
        body = np.zeros(SIZE, bool)
        body[1:-1, 1:-1, 1:-1] = True
        contrasts = rng.permutation(np.linspace(-100, 200, len(dataset["labels"])))
        channels = [
            np.where(body, np.roll(contrasts, channel)[label] + rng.normal(0, 10, SIZE), _outside(dataset))
            for channel in range(len(dataset["channel_names"]))
        ]
        image = np.stack(channels, axis=-1) if len(channels) > 1 else channels[0]
        _save(image.astype(np.float32), folder / "imagesTr" / name)
        _save(label.astype(np.uint8), folder / "labelsTr" / name)
    content = {
        "modality": dataset["channel_names"],
        "labels": {str(value): name for name, value in dataset["labels"].items()},
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def _outside(dataset: dict[str, Any]) -> float:
    """The value around the body: air in HU, or the zero of skull-stripped scans."""
    return -1000.0 if dataset["channel_names"]["0"] == "CT" else 0.0


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw a label map with boxes of the values 1 to `count`, all of them there, in shifted places of one lattice."""
    label = np.zeros(SIZE, np.int64)
    places = [(x, y, z) for x in (2, 8, 14, 20) for y in (2, 9, 16) for z in (2, 11)]
    for value, (x, y, z) in enumerate(places[:count], start=1):
        x, y, z = rng.integers(0, 2, 3) + (x, y, z)
        label[x : x + 4, y : y + 5, z : z + 6] = value
    return label


def _save(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, AFFINE), path)
