"""Dice of a whole set of cases at once, as challenges with often empty masks rank by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

AGGREGATED_RULE = (
    "Of each class twice the volume in mm³ that prediction and reference share in all cases, by the sum of their "
    "volumes in all cases; null where it is in none."
)


class AggregatedDice:
    """Sum the volumes of every class over cases.

    Args:
        classes: id of each class, or ids of each region; id 0 is background and not counted.
    """

    def __init__(self, classes: Mapping[str, int | Sequence[int]]) -> None:
        self.values = {name: torch.atleast_1d(torch.tensor(ids)) for name, ids in classes.items() if ids != 0}
        self.reset()

    def reset(self) -> None:
        """Forget all cases."""
        self.shared = dict.fromkeys(self.values, 0.0)
        self.total = dict.fromkeys(self.values, 0.0)

    def add(self, prediction: torch.Tensor, reference: torch.Tensor, voxel_mm3: float) -> None:
        """Add a case.

        Args:
            prediction: (D, H, W), label ids.
            reference: (D, H, W), label ids.
            voxel_mm3: volume of a voxel.
        """
        for name, ids in self.values.items():
            predicted, true = (torch.isin(mask, ids.to(mask)) for mask in (prediction, reference))
            self.shared[name] += int((predicted & true).sum()) * voxel_mm3
            self.total[name] += int(predicted.sum() + true.sum()) * voxel_mm3

    def result(self, reported: Sequence[str] | None = None) -> dict[str, float | None]:
        """Return the Dice per class, and as "mean" that of the reported classes, all if None."""
        dice = {name: 2 * self.shared[name] / total if total else None for name, total in self.total.items()}
        counted = [value for name, value in dice.items() if value is not None and name in (reported or dice)]
        return dice | {"mean": sum(counted) / len(counted) if counted else None}
