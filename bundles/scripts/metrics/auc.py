"""Area under the ROC curve per finding, with intervals that know that images of one patient belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

BOOTSTRAP_RULE = (
    "95 % percentile intervals over resampled patients, whose images stay together. A finding without both classes is "
    "left out; in a resample that lacks one of its classes it is left out of that resample's mean."
)
CHUNK = 50  # resamples at a time, to bound memory


def auc(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Compute the probability that a positive scores above a negative, ties counting half.

    Args:
        scores: (N,).
        truth: (N,), 0 or 1.
        weights: (R, N), how often each image counts in each of R resamples; one resample of ones by default.

    Returns:
        (R,), NaN where a class is missing.
    """
    weights = np.ones((1, len(scores))) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.nan))  # where each group of equal scores begins
    positive = np.add.reduceat(weights[:, order] * truth[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * (1 - truth[order]), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return np.divide((positive * below).sum(axis=1), pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def mean_auc(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Average the AUC over the findings (columns of (N, F)) of which both classes are there.

    Returns:
        NaN if there is no such finding, or any probability is NaN, which has no rank.
    """
    if np.isnan(probabilities).any():
        return float("nan")
    values = np.array([auc(p, t)[0] for p, t in zip(probabilities.T, truth.T, strict=True)])
    return float(np.mean(values[~np.isnan(values)])) if np.any(~np.isnan(values)) else float("nan")


def auc_report(
    probabilities: np.ndarray,
    truth: np.ndarray,
    patients: Sequence[str],
    findings: Sequence[str],
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Score all findings and their mean.

    Args:
        probabilities: (N, F).
        truth: (N, F), 0 or 1.
        patients: of the N images.
        findings: names of the F findings.
        num_resamples: bootstrap resamples of the patients.
        seed: of the bootstrap.

    Returns:
        `mean`, and under `findings` one per finding: a dictionary of `auc`, `low` and `high` (None where not defined)
        and of counts; `left_out` names the findings without both classes.
    """
    truth = truth.astype(float)
    values = np.array([auc(p, t)[0] for p, t in zip(probabilities.T, truth.T, strict=True)])
    counted = ~np.isnan(values)
    resampled = np.full((num_resamples, len(findings)), np.nan)
    names, members = np.unique(np.asarray(patients), return_inverse=True)
    rng = np.random.default_rng(seed)
    for first in range(0, num_resamples, CHUNK):
        rows = slice(first, min(first + CHUNK, num_resamples))
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=rows.stop - rows.start)
        for f in np.flatnonzero(counted):
            resampled[rows, f] = auc(probabilities[:, f], truth[:, f], drawn[:, members].astype(float))
    present = ~np.isnan(resampled)
    means = np.nansum(resampled, axis=1)[present.any(axis=1)] / present.sum(axis=1)[present.any(axis=1)]
    per_finding = {
        name: {
            **_interval(values[f], resampled[present[:, f], f]),
            "positives": int(truth[:, f].sum()),
            "negatives": int((1 - truth[:, f]).sum()),
        }
        for f, name in enumerate(findings)
    }
    mean = values[counted].mean() if counted.any() else np.nan
    return {
        "mean": {**_interval(mean, means), "findings": int(counted.sum())},
        "findings": per_finding,
        "left_out": [name for name, kept in zip(findings, counted, strict=True) if not kept],
        "images": len(truth),
        "patients": len(names),
    }


def _interval(value: float, resampled: np.ndarray) -> dict[str, float | None]:
    low, high = np.percentile(resampled, (2.5, 97.5)) if len(resampled) else (np.nan, np.nan)
    numbers = {"auc": value, "low": low, "high": high}
    return {name: None if np.isnan(number) else float(number) for name, number in numbers.items()}
