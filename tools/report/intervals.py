"""How sure a mean is: resampling cases, and spread over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .records import Scores, mean_counted

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
        values: one per case, or (seeds, cases), NaN where a case does not count for a seed, whose mean is over its own.
    """
    values = np.atleast_2d(values)
    if values.shape[1] < 2:
        return None
    if np.ptp(values.mean(axis=0)) == 0:
        return Interval(float(values.mean()), float(values.mean()))

    def mean_of(cases: NDArray[np.int64], axis: int) -> Scores:
        return mean_counted(mean_counted(values[:, cases], axis=axis), axis=0)

    cases = np.arange(values.shape[1])
    found = stats.bootstrap(
        (cases,), mean_of, n_resamples=RESAMPLES, confidence_level=LEVEL, method="percentile", rng=0
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
