"""Lesions found, missed and invented: precision, recall and F1 by connected components."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

MIN_IOU = 0.1
NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)
LESION_RULE = (
    "A lesion is a connected component of a class, voxels that share a face, an edge or a corner (26 neighbours) being "
    "connected. Predicted and true lesions are paired one to one so that the sum of their intersections over unions is "
    f"largest; a pair counts if that of its own is at least {MIN_IOU}. Precision is the share of the predicted lesions "
    "that are in a pair, recall that of the true ones, F1 twice the pairs by the number of both. Precision is not "
    "counted in cases without predicted, recall not in cases without true lesions, F1 not where there are neither; if "
    "there are those of one kind only, F1 is 0. Volumes are in mm³."
)


def lesions_of(predicted: np.ndarray, true: np.ndarray, voxel_mm3: float) -> list[dict[str, Any]]:
    """List the lesions of one class in one case, see `LESION_RULE`.

    Args:
        predicted: (D, H, W), bool.
        true: (D, H, W), bool.
        voxel_mm3: volume of a voxel.

    Returns:
        First the true, then the predicted ones: `kind`, `volume_mm3`, `paired`, and `iou` with the partner, 0 if none.
    """
    maps = [ndimage.label(mask, structure=NEIGHBOURS)[0] for mask in (true, predicted)]
    sizes = [np.bincount(labels.ravel())[1:] for labels in maps]
    both = (maps[0] > 0) & (maps[1] > 0)
    shared = np.zeros([len(volumes) for volumes in sizes])
    np.add.at(shared, tuple(labels[both] - 1 for labels in maps), 1)
    iou = shared / (sizes[0][:, None] + sizes[1][None, :] - shared)
    iou[iou < MIN_IOU] = 0
    partners = [np.zeros(len(volumes)) for volumes in sizes]
    for row, column in zip(*linear_sum_assignment(iou, maximize=True), strict=True):
        partners[0][row] = partners[1][column] = iou[row, column]
    return [
        {"kind": kind, "volume_mm3": size * voxel_mm3, "paired": bool(value > 0), "iou": float(value)}
        for kind, volumes, values in zip(("true", "predicted"), sizes, partners, strict=True)
        for size, value in zip(volumes.tolist(), values, strict=True)
    ]


def lesion_scores(lesions: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Score lesions of one case, or of all cases together.

    Args:
        lesions: of one class, as `lesions_of` lists them.

    Returns:
        `lesion_precision`, `lesion_recall`, `lesion_f1`, NaN where `LESION_RULE` does not count them, and the numbers
        `lesions_true`, `lesions_predicted` and `lesions_paired`.
    """
    true, predicted = ([lesion for lesion in lesions if lesion["kind"] == kind] for kind in ("true", "predicted"))
    pairs = sum(lesion["paired"] for lesion in true)
    return {
        "lesion_precision": _share(pairs, len(predicted)),
        "lesion_recall": _share(pairs, len(true)),
        "lesion_f1": _share(2 * pairs, len(true) + len(predicted)),
        "lesions_true": len(true),
        "lesions_predicted": len(predicted),
        "lesions_paired": pairs,
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
