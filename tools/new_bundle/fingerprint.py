"""The numbers of a dataset that a plan follows from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .measure import QUANTILES, Row

HOUNSFIELD_MIN = -500.0  # no MRI or PET has such values; a CT with a bit of air has


@dataclass(frozen=True)
class Channel:
    """Intensities of the labelled voxels of one channel, every case counting the same.

    Attributes:
        low: 0.5 % of the values are smaller.
        median: half of them are.
        high: 99.5 % are.
        mean: of them.
        sd: of them.
        min: of all voxels of all cases.
        max: of all voxels of all cases.
        hounsfield: most cases have values as low as air in a CT.
    """

    low: float
    median: float
    high: float
    mean: float
    sd: float
    min: float
    max: float
    hounsfield: bool


@dataclass(frozen=True)
class Fingerprint:
    """A dataset in numbers; its arrays have a few numbers per case and are all that grows with the dataset.

    Attributes:
        spacings: (N, 3) in mm along R, A, S.
        shapes: (N, 3) in voxels, of the box around what is not zero.
        channels: intensities.
        voxels: of each label value over all cases.
        cases: with each label value.
        filled: median share of a volume in the box around what is not zero.
    """

    spacings: np.ndarray
    shapes: np.ndarray
    channels: list[Channel]
    voxels: dict[int, int]
    cases: dict[int, int]
    filled: float

    def summary(self) -> dict[str, Any]:
        """Return it as plain values: of spacings and shapes the smallest, the median and the largest."""
        extremes = {
            name: {"min": low, "median": middle, "max": high}
            for name, values in (("spacing", self.spacings), ("shape", self.shapes))
            for low, middle, high in [np.percentile(values, [0, 50, 100], axis=0).tolist()]
        }
        total = sum(self.voxels.values())
        frequencies = {str(value): count / total for value, count in self.voxels.items()}
        return {
            "cases": len(self.shapes),
            **extremes,
            "channels": [vars(channel) for channel in self.channels],
            "class_frequencies": frequencies,
            "cases_with_class": {str(value): count for value, count in self.cases.items()},
            "filled": self.filled,
        }


def fingerprint(rows: Iterable[tuple[int, Row]], num_cases: int, num_channels: int) -> Fingerprint:
    """Collect the rows of cases without errors; their order does not matter.

    Args:
        rows: numbers below `num_cases` and rows of `measure_case`.
        num_cases: upper bound of the numbers.
        num_channels: of each row.

    Returns:
        The dataset's fingerprint.
    """
    there, labelled = np.zeros(num_cases, bool), np.zeros(num_cases, bool)
    spacings, shapes = np.zeros((num_cases, 3)), np.zeros((num_cases, 3), np.int64)
    filled = np.zeros(num_cases)
    moments = np.zeros((num_cases, num_channels, 4))
    quantiles = np.zeros((num_cases, num_channels, len(QUANTILES)), np.float32)
    voxels: Counter[int] = Counter()
    cases: Counter[int] = Counter()
    for number, row in rows:
        measured = row["measured"]
        there[number] = True
        spacings[number], shapes[number], filled[number] = (measured[key] for key in ("spacing", "shape", "filled"))
        for channel, values in enumerate(measured["channels"]):
            moments[number, channel] = [values[key] for key in ("min", "max", "mean", "sd")]
            quantiles[number, channel] = values["quantiles"]
        labelled[number] = any(float(value) > 0 for value in measured["classes"])
        classes = {int(value): count for value, count in measured["classes"].items()}
        voxels.update(classes)
        cases.update(classes.keys())
    # as in nnU-Net a case without findings tells nothing of the intensities of what is labelled
    counted = labelled if labelled.any() else there
    channels = [
        _channel(moments[there, channel, :2], moments[counted, channel, 2:], quantiles[counted, channel])
        for channel in range(num_channels)
    ]
    return Fingerprint(
        spacings[there],
        shapes[there],
        channels,
        dict(sorted(voxels.items())),
        dict(sorted(cases.items())),
        float(np.median(filled[there])),
    )


def _channel(extremes: np.ndarray, moments: np.ndarray, quantiles: np.ndarray) -> Channel:
    low, median, high = np.percentile(quantiles, [0.5, 50, 99.5]).tolist()
    mean = float(moments[:, 0].mean())
    sd = float(np.sqrt((moments[:, 1] ** 2 + moments[:, 0] ** 2).mean() - mean**2))
    smallest, largest = float(extremes[:, 0].min()), float(extremes[:, 1].max())
    return Channel(low, median, high, mean, sd, smallest, largest, bool(np.median(extremes[:, 0]) <= HOUNSFIELD_MIN))
