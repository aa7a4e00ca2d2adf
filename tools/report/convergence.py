"""How many steps a training needs for a share of what training from scratch ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .records import Arm, Record, Scores

SHARES = (0.90, 0.95, 0.99)
MOST, SHARE = 3, 4  # validations averaged, so that a single lucky one does not count; of a curve a quarter at most


@dataclass(frozen=True)
class Reached:
    """When the runs of an arm reach a target.

    Attributes:
        median: steps of the median run; None if it never does.
        number: of runs that do.
        of: all runs.
        longest: steps after which a run that did not was given up.
    """

    median: float | None
    number: int
    of: int
    longest: int

    def __str__(self) -> str:
        """Write steps, or that they are more than were run."""
        steps = f"> {self.longest:,}" if self.median is None else f"{self.median:,.0f}"
        return steps if self.number in (0, self.of) else f"{steps} ({self.number} of {self.of})"


def window_of(arm: Arm) -> int:
    """Return how many validations are averaged where an arm is the reference: three, of short curves fewer."""
    shortest = min(len(record_curve(record)[1]) for record in arm.runs.values())
    return max(1, min(MOST, shortest // SHARE))


def smoothed(record: Record, window: int) -> tuple[list[int], Scores]:
    """Return steps and validation Dice, each averaged with those before it that are in the window."""
    steps, values = record_curve(record)
    means = [np.mean(values[max(0, end - window) : end]) for end in range(1, len(values) + 1)]
    return steps, np.array(means)


def final_score(arm: Arm, window: int) -> float | None:
    """Return the smoothed validation Dice at the end, the mean over seeds; None where nothing was validated."""
    ends = [values[-1] for _, values in (smoothed(record, window) for record in arm.runs.values()) if len(values)]
    return float(np.mean(ends)) if ends else None


def steps_to_reach(arm: Arm, target: float, window: int, count_pretraining: bool = False) -> Reached:
    """Return the steps after which an arm's runs reach a smoothed validation Dice.

    Args:
        arm: whose runs.
        target: Dice.
        window: validations averaged.
        count_pretraining: whether the pretraining's steps count.
    """
    reached, ends = [], []
    for record in arm.runs.values():
        before = record["pretraining"]["steps"] if count_pretraining and record["pretraining"] else 0
        steps, values = smoothed(record, window)
        first = next((step for step, value in zip(steps, values, strict=True) if value >= target), None)
        reached.append(np.inf if first is None else first + before)
        ends.append(record["steps"] + before)
    return Reached(median_or_none(reached), int(np.isfinite(reached).sum()), len(reached), max(ends))


def median_or_none(values: Sequence[float]) -> float | None:
    """Return the median of values of which some, that were never reached, are infinite; None where it is."""
    ordered = sorted(values)
    upper = ordered[len(ordered) // 2]
    if np.isinf(upper):  # of an even number the upper middle one decides: the mean with infinity says nothing
        return None
    return float(np.median(ordered))


def area(arm: Arm, steps: int) -> float | None:
    """Return the mean height of the validation curve up to `steps`, averaged over seeds."""
    heights = []
    for record in arm.runs.values():
        points = [(s, v) for s, v in zip(*record_curve(record), strict=True) if s <= steps]
        if len(points) > 1:
            x, y = (np.array(part, dtype=float) for part in zip(*points, strict=True))
            heights.append(float(np.trapezoid(y, x) / (x[-1] - x[0])))
    return float(np.mean(heights)) if heights else None


def record_curve(record: Record) -> tuple[list[int], list[float]]:
    """Return steps and validation Dice as measured, without failed validations."""
    pairs = zip(record["curve"]["steps"], record["curve"]["values"], strict=True)
    points = [(step, value) for step, value in pairs if value is not None]
    return [step for step, _ in points], [value for _, value in points]
