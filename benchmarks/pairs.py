"""Timing things against each other on a machine that others use as well."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


def alternate(
    runs: dict[str, Callable[[], object]], repeats: int, device: str, processor: bool = False
) -> dict[str, list[float]]:
    """Time each function once per round, so that whatever slows the machine down slows all of them.

    Args:
        runs: what to time, by name.
        repeats: rounds, after one that is not counted.
        device: waited for before and after each run.
        processor: count the seconds that this process was computing, not those in which others were.

    Returns:
        Seconds of each round by name.
    """
    clock = time.process_time if processor else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            wait(device)
            began = clock()
            run()
            wait(device)
            seconds[name].append(clock() - began)
    return {name: values[1:] for name, values in seconds.items()}


def against(reference: list[float], values: list[float]) -> dict[str, Any]:
    """Return medians, and how many times faster than the reference each round was: median and range."""
    ratios = [r / v for r, v in zip(reference, values, strict=True)]
    return {
        "seconds": round(statistics.median(values), 3),
        "reference_seconds": round(statistics.median(reference), 3),
        "times_faster": round(statistics.median(ratios), 2),
        "range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def wait(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
