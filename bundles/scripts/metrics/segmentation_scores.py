"""Dice, surface Dice and Hausdorff distance per case and class, with rules for empty masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice

EMPTY_RULE = (
    "A class absent from both reference and prediction is not counted; absent from one of them it scores DSC 0, NSD 0 "
    "and, as HD95, the diagonal of the image in mm."
)

METRICS = ("dsc", "nsd", "hd95_mm")


def segmentation_scores(
    prediction: torch.Tensor,
    reference: torch.Tensor,
    labels: dict[str, int],
    spacing: Sequence[float],
    tolerance_mm: float,
) -> list[dict[str, Any]]:
    """Score one case.

    Args:
        prediction: (D, H, W), label ids.
        reference: (D, H, W), label ids.
        labels: id of each class; id 0 is background and not scored.
        spacing: mm per axis.
        tolerance_mm: of the normalised surface Dice.

    Returns:
        Per class a dictionary of `class`, `dsc`, `nsd` and `hd95_mm`; see `EMPTY_RULE`.
    """
    rows = []
    for name, value in labels.items():
        if value == 0:
            continue
        predicted, true = (prediction == value), (reference == value)
        if predicted.any() and true.any():
            scores = _both_present(predicted[None, None], true[None, None], spacing, tolerance_mm)
        elif predicted.any() or true.any():
            diagonal = math.dist([0.0] * 3, [n * s for n, s in zip(reference.shape, spacing, strict=True)])
            scores = (0.0, 0.0, diagonal)
        else:
            scores = (math.nan, math.nan, math.nan)
        rows.append({"class": name, **dict(zip(METRICS, scores, strict=True))})
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Mean, standard deviation and number of cases of each measure, per class and for the classes' mean per case.

    Args:
        rows: of all cases, each with `case` and what `segmentation_scores` gives.

    Returns:
        class (and "mean") -> measure -> {"mean", "sd", "n"}; None where nothing was counted.
    """
    classes = list(dict.fromkeys(row["class"] for row in rows))
    groups = {name: [row for row in rows if row["class"] == name] for name in classes}
    cases = dict.fromkeys(row["case"] for row in rows)
    groups["mean"] = [
        {metric: _mean([row[metric] for row in rows if row["case"] == case]) for metric in METRICS} for case in cases
    ]
    return {
        name: {metric: _spread([row[metric] for row in group]) for metric in METRICS} for name, group in groups.items()
    }


def _both_present(
    predicted: torch.Tensor, true: torch.Tensor, spacing: Sequence[float], tolerance_mm: float
) -> tuple[float, float, float]:
    spacing = [float(s) for s in spacing]
    dsc = compute_dice(predicted, true)
    nsd = compute_surface_dice(
        predicted, true, [tolerance_mm], include_background=True, spacing=spacing, use_subvoxels=True
    )
    hd95 = compute_hausdorff_distance(predicted, true, include_background=True, percentile=95, spacing=spacing)
    return float(dsc), float(nsd), float(hd95)


def _mean(values: Sequence[float]) -> float:
    counted = [v for v in values if not math.isnan(v)]
    return float(np.mean(counted)) if counted else math.nan


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    counted = [v for v in values if not math.isnan(v)]
    return {
        "mean": float(np.mean(counted)) if counted else None,
        "sd": float(np.std(counted, ddof=1)) if len(counted) > 1 else None,
        "n": len(counted),
    }
