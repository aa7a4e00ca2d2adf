"""Small volumes of which generated releases are made: a body with noise and every label in it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np

SIZE = (28, 26, 24)
AFFINE = np.array([[-1.2, 0, 0, 14.0], [0, -1.1, 0, 13.0], [0, 0, 1.6, -9.0], [0, 0, 0, 1]])  # LPS, not isotropic


def draw_label(rng: np.random.Generator, values: Sequence[int], size: Sequence[int] = SIZE) -> np.ndarray:
    """Draw one box for each value, all of them there, in shifted places of one lattice."""
    label = np.zeros(size, np.uint8)
    per_axis = max(2, int(np.ceil(len(values) ** (1 / 3))))
    step = [(n - 4) // per_axis for n in size]
    for value, place in zip(values, product(range(per_axis), repeat=3), strict=False):
        start = [2 + p * s + int(rng.integers(0, 2)) for p, s in zip(place, step, strict=True)]
        label[tuple(slice(a, a + max(2, s - 1)) for a, s in zip(start, step, strict=True))] = value
    return label


def draw_image(rng: np.random.Generator, label: np.ndarray, outside: float = 0.0) -> np.ndarray:
    """Draw a body of brightness about 100 in which every label value differs; `outside` is what lies around it."""
    brightness = 100 + 40 * rng.permutation(int(label.max()) + 1)
    image = np.full(label.shape, outside, np.float32)
    inside = tuple(slice(1, -1) for _ in label.shape)
    image[inside] = (brightness[label] + rng.normal(0, 8, label.shape))[inside]
    return image


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    """Save a volume; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
