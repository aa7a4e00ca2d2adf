"""The last look at a prepared case before it is written."""

from __future__ import annotations

from collections.abc import Iterator

import nibabel as nib
import numpy as np

from scripts.errors import InputError
from scripts.geometry import corner_shift, is_one_grid

from .case import Prepared


def check(prepared: Prepared, channels: dict[str, str], labels: dict[str, int]) -> list[str]:
    """Make sure that a case has the form that the bundle reads.

    Args:
        prepared: what a dataset's module made of the case.
        channels: the card's `channel_names`.
        labels: the card's labels, name to value.

    Returns:
        Notes on labels that the case does not show.

    Raises:
        InputError: it has not; all reasons in one line.
    """
    shown = np.unique(np.asanyarray(prepared.label.dataobj)).tolist()
    problems = list(_problems(prepared, channels))
    if unknown := sorted(set(shown) - set(labels.values())):
        problems.append(f"the label has the values {unknown}, allowed are {labels}")
    if problems:
        raise InputError("; ".join(problems))
    absent = [name for name, value in labels.items() if value and value not in shown]
    if len(absent) == len(labels) - 1:
        return ["the label is empty"]
    return [f"without {', '.join(absent)}"] if absent else []


def _problems(prepared: Prepared, channels: dict[str, str]) -> Iterator[str]:
    if len(prepared.images) != len(channels):
        yield f"it has {len(prepared.images)} images, the bundle has the channels {list(channels.values())}"
    for name, image in zip(channels.values(), prepared.images, strict=False):
        yield from (f"{name} {problem}" for problem in _image_problems(image, prepared.label))


def _image_problems(image: nib.Nifti1Image, label: nib.Nifti1Image) -> Iterator[str]:
    if image.ndim != 3 or min(image.shape) < 2:
        yield f"is no volume but has the size {image.shape}"
    elif image.shape != label.shape:
        yield f"has {image.shape} voxels, the label {label.shape}"
    elif not is_one_grid(image.affine, label.affine, image.shape):
        yield f"lies {corner_shift(image.affine, label.affine, image.shape):.2f} mm beside the label"
    if not np.isfinite(np.asanyarray(image.dataobj)).all():
        yield "has voxels that are not finite"
