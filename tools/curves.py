"""What a training logged, read from its TensorBoard files."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

Curve = tuple[NDArray[np.int64], NDArray[np.float64]]


def read_curves(folder: Path) -> dict[str, Curve]:
    """Read all scalars of the TensorBoard files below a folder.

    Args:
        folder: searched recursively.

    Returns:
        Steps and values per tag, by step. Where an interrupted run repeated a step, its last value counts.
    """
    values: dict[str, dict[int, tuple[float, float]]] = defaultdict(dict)
    for events in sorted({path.parent for path in folder.rglob("events.out.tfevents.*")}):
        accumulator = EventAccumulator(str(events), size_guidance={"scalars": 0}, purge_orphaned_data=False)
        accumulator.Reload()
        for tag in accumulator.Tags()["scalars"]:
            for event in accumulator.Scalars(tag):
                former = values[tag].get(event.step)
                if former is None or event.wall_time >= former[0]:
                    values[tag][event.step] = (event.wall_time, event.value)
    curves = {}
    for tag, points in values.items():
        steps = sorted(points)
        curves[tag] = (np.array(steps), np.array([points[step][1] for step in steps]))
    return curves
