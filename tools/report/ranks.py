"""Which arm is best on each dataset and on average, and whether other test cases would say the same (S3D, Fig. 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .records import Scores

RESAMPLES = 2000


@dataclass(frozen=True)
class Ranks:
    """Ranks of some arms, 1 the best.

    Attributes:
        per_dataset: dataset to ranks.
        mean: over datasets.
        frequency: (arms, places): share of resamples in which an arm takes a place by its mean rank; ties share.
    """

    per_dataset: dict[str, NDArray[np.float64]]
    mean: NDArray[np.float64]
    frequency: NDArray[np.float64]


def rank_arms(scores: Mapping[str, Scores], resamples: int = RESAMPLES) -> Ranks:
    """Rank arms by their mean score on each dataset, and bootstrap the test cases of each.

    Args:
        scores: dataset to (arms, cases), higher is better.
        resamples: number of bootstrap samples.
    """
    per_dataset = {name: _ranks(values.mean(axis=1)) for name, values in scores.items()}
    number = len(next(iter(per_dataset.values())))
    frequency = np.zeros((number, number))
    rng = np.random.default_rng(0)
    for _ in range(resamples):
        drawn = []
        for values in scores.values():
            cases = rng.integers(values.shape[1], size=values.shape[1])
            drawn.append(_ranks(values[:, cases].mean(axis=1)))
        mean = np.mean(drawn, axis=0)
        for arm in range(number):
            better, equal = int((mean < mean[arm]).sum()), int((mean == mean[arm]).sum())
            frequency[arm, better : better + equal] += 1 / equal
    return Ranks(per_dataset, np.mean(list(per_dataset.values()), axis=0), frequency / resamples)


def _ranks(scores: Scores) -> NDArray[np.float64]:
    return np.asarray(stats.rankdata(-scores), dtype=float)
