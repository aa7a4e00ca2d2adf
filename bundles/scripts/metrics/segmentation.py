"""Dice, surface Dice and Hausdorff distance per case and class, with rules for empty masks."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice

EMPTY_RULE = (
    "A class absent from both reference and prediction is not counted; absent from one of them it scores DSC 0, NSD 0 "
    "and, as HD95, the diagonal of the image."
)


def segmentation_scores(
    prediction: torch.Tensor,
    reference: torch.Tensor,
    classes: Mapping[str, int | Sequence[int]],
    spacing: Sequence[float],
    tolerance_mm: float,
    voxel_mm: Sequence[float] | None = None,
) -> list[dict[str, Any]]:
    """Score one case.

    Args:
        prediction: (D, H, W), label ids.
        reference: (D, H, W), label ids.
        classes: id of each class, or ids of each region; id 0 is background and not scored.
        spacing: mm per axis.
        tolerance_mm: of the normalised surface Dice.
        voxel_mm: size in mm per axis of the voxels in which HD95 is measured; None to measure it in mm.

    Returns:
        Per class a dictionary of `class`, `dsc`, `nsd` and `hd95_mm` (or `hd95_voxel`); see `EMPTY_RULE`.
    """
    steps = list(spacing) if voxel_mm is None else [s / v for s, v in zip(spacing, voxel_mm, strict=True)]
    metrics = ("dsc", "nsd", "hd95_mm" if voxel_mm is None else "hd95_voxel")
    rows = []
    for name, values in classes.items():
        if values == 0:
            continue
        predicted, true = (torch.isin(ids, torch.tensor(values).to(ids)) for ids in (prediction, reference))
        if predicted.any() and true.any():
            scores = _both_present(predicted[None, None], true[None, None], spacing, tolerance_mm, steps)
        elif predicted.any() or true.any():
            diagonal = math.dist([0.0] * 3, [n * s for n, s in zip(reference.shape, steps, strict=True)])
            scores = (0.0, 0.0, diagonal)
        else:
            scores = (math.nan, math.nan, math.nan)
        rows.append({"class": name, **dict(zip(metrics, scores, strict=True))})
    return rows


def summary(
    rows: Sequence[dict[str, Any]], reported: Collection[str] | None = None
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Mean, standard deviation and number of cases of each measure, per class and for the classes' mean per case.

    Args:
        rows: of all cases, each with `case` and what `segmentation_scores` gives.
        reported: classes that the classes' mean is taken over; None for all.

    Returns:
        class (and "mean") -> measure -> {"mean", "sd", "n"}; None where nothing was counted.
    """
    classes = list(dict.fromkeys(row["class"] for row in rows))
    groups = {name: [row for row in rows if row["class"] == name] for name in classes}
    metrics = [key for key in rows[0] if key not in ("case", "class")]
    counted = [row for row in rows if reported is None or row["class"] in reported]
    groups["mean"] = [
        {metric: _mean([row[metric] for row in counted if row["case"] == case]) for metric in metrics}
        for case in dict.fromkeys(row["case"] for row in rows)
    ]
    return {
        name: {metric: _spread([row[metric] for row in group]) for metric in metrics} for name, group in groups.items()
    }


def _both_present(
    predicted: torch.Tensor, true: torch.Tensor, spacing: Sequence[float], tolerance_mm: float, steps: Sequence[float]
) -> tuple[float, float, float]:
    spacing, steps = [float(s) for s in spacing], [float(s) for s in steps]
    dsc = compute_dice(predicted, true)
    nsd = compute_surface_dice(
        predicted, true, [tolerance_mm], include_background=True, spacing=spacing, use_subvoxels=True
    )
    hd95 = compute_hausdorff_distance(predicted, true, include_background=True, percentile=95, spacing=steps)
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
