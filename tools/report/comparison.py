"""Two arms on the same test cases and seeds, and what may be said of many such pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .intervals import Interval, over_cases, over_seeds
from .records import Scores

ALPHA = 0.05


@dataclass(frozen=True)
class Comparison:
    """Paired difference of an arm from its reference.

    Attributes:
        difference: mean over seeds and cases.
        cases: interval of it, cases resampled: would other cases say the same of these trained networks?
        seeds: interval of it over seeds: would other trainings say the same on these cases?
        seeds_ahead: in how many seeds the arm has the higher mean.
        num_seeds: that both have.
        num_cases: that both have.
        p: of Wilcoxon's signed-rank test on the cases' differences, each averaged over seeds.
    """

    difference: float
    cases: Interval | None
    seeds: Interval | None
    seeds_ahead: int
    num_seeds: int
    num_cases: int
    p: float

    def verdict(self, adjusted: float) -> str:
        """Say what this shows; a difference must hold over cases and, with several seeds, over trainings.

        Args:
            adjusted: p after Holm's correction.
        """
        if adjusted >= ALPHA:
            return "no difference shown"
        word = "higher" if self.difference > 0 else "lower"
        if self.seeds is None:
            return f"{word} in this one training"
        if self.seeds.low <= 0 <= self.seeds.high:
            return f"{word} in these trainings; others may differ"
        return word


def compare(arm: Scores, reference: Scores) -> Comparison:
    """Compare two arms.

    Args:
        arm: (seeds, cases).
        reference: (seeds, cases), in the same order.
    """
    differences = arm - reference
    per_case, per_seed = differences.mean(axis=0), differences.mean(axis=1)
    p = 1.0 if not per_case.any() else float(stats.wilcoxon(per_case).pvalue)
    return Comparison(
        difference=float(differences.mean()),
        cases=over_cases(per_case),
        seeds=over_seeds(per_seed),
        seeds_ahead=int((per_seed > 0).sum()),
        num_seeds=len(per_seed),
        num_cases=len(per_case),
        p=p,
    )


def holm(values: Sequence[float]) -> list[float]:
    """Adjust p values for their number by Holm's step-down method."""
    order = np.argsort(values, kind="stable")
    factors = len(values) - np.arange(len(values))
    raised = np.maximum.accumulate(np.asarray(values, dtype=float)[order] * factors)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(raised, 1.0)
    return [float(value) for value in adjusted]
