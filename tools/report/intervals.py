"""How sure a mean is: resampling cases, and spread over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .records import Scores

RESAMPLES = 9999
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """Bounds of a 95 % interval."""

    low: float
    high: float


def over_cases(values: Scores) -> Interval | None:
    """Return the percentile bootstrap interval of the mean, cases resampled; None for fewer than two.

    Args:
        values: one per case.
    """
    if len(values) < 2:
        return None
    if np.ptp(values) == 0:
        return Interval(float(values[0]), float(values[0]))
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, method="percentile", rng=0
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def over_seeds(values: Scores) -> Interval | None:
    """Return Student's interval of the mean; None for fewer than two.

    Args:
        values: one per seed.
    """
    if len(values) < 2:
        return None
    error = values.std(ddof=1) / np.sqrt(len(values))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * error)
    return Interval(float(values.mean()) - half, float(values.mean()) + half)
