"""The figures of a report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..pages import INK, MOST_INSIDE, dress
from .convergence import record_curve
from .ranks import Ranks
from .records import Arm, mean_counted, own_scores

COLOURS = ("#5b6472", "#0f766e", "#c2571a", "#3b6ea5", "#8b5fbf", "#b5871b", "#c0396b", "#4d7c0f")
STYLES = ("-", "--", ":", "-.")  # of lines whose colours come round


def learning_curves(arms: Sequence[Arm], title: str) -> Figure:
    """Plot each arm's validation Dice over fine-tuning steps: the mean over seeds, and from least to greatest."""
    figure, axes = _plot(len(arms))
    for number, arm in enumerate(arms):
        curves = [dict(zip(*record_curve(record), strict=True)) for record in arm.runs.values()]
        steps = sorted(set.intersection(*map(set, curves)))
        values = np.array([[curve[step] for step in steps] for curve in curves])
        if steps:
            _band(axes, steps, values, number, arm.label)
    dress(axes, title, "fine-tuning steps", "validation Dice")
    return figure


def label_efficiency(arms: Sequence[Arm], title: str, all_cases: int) -> Figure:
    """Plot test Dice over the number of labelled cases, one line per network, initialisation and variant.

    Args:
        arms: of one dataset.
        title: of the figure.
        all_cases: where to draw a budget of all cases.
    """
    lines: dict[str, list[Arm]] = {}
    for arm in arms:
        lines.setdefault(arm.label, []).append(arm)
    figure, axes = _plot(len(lines))
    for number, (label, line) in enumerate(lines.items()):
        budgets = [all_cases if arm.budget is None else arm.budget for arm in line]
        per_seed = [mean_counted(own_scores(arm, "dsc"), axis=1) for arm in line]
        middle = [float(values.mean()) for values in per_seed]
        colour, style = _look(number)
        axes.plot(budgets, middle, style, color=colour, marker="o", markersize=3, label=label)
        axes.fill_between(
            budgets, [v.min() for v in per_seed], [v.max() for v in per_seed], color=colour, alpha=0.12, linewidth=0
        )
    axes.set_xscale("log")
    ticks = sorted({all_cases if arm.budget is None else arm.budget for arm in arms})
    axes.set_xticks(ticks, ["all" if tick == all_cases else str(tick) for tick in ticks], minor=False)
    axes.minorticks_off()
    dress(axes, title, "labelled cases", "test Dice")
    return figure


def rank_stability(ranks: Ranks, labels: Sequence[str], title: str) -> Figure:
    """Draw how often each arm takes each place when the test cases are resampled: the larger, the more often."""
    figure = Figure(figsize=(7.5, 1.2 + 0.4 * len(labels)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(1, len(labels) + 1)
    for row, shares in enumerate(ranks.frequency):
        axes.scatter(places, np.full(len(places), row), s=500 * shares, color=COLOURS[row % len(COLOURS)], alpha=0.75)
    axes.scatter(ranks.mean, np.arange(len(labels)), marker="|", s=120, color=INK)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xticks(places)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    dress(axes, title, "place (bar: rank without resampling)", "")
    return figure


def _plot(lines: int) -> tuple[Figure, Axes]:
    """Return a figure that grows with the legend which `dress` puts below many lines."""
    figure = Figure(figsize=(7.5, 4 + (0.1 * lines if lines > MOST_INSIDE else 0)), layout="constrained")
    return figure, figure.subplots()


def _look(number: int) -> tuple[str, str]:
    return COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS) % len(STYLES)]


def _band(axes: Axes, steps: Sequence[int], values: np.ndarray, number: int, label: str) -> None:
    colour, style = _look(number)
    axes.plot(steps, values.mean(axis=0), style, color=colour, marker="o", markersize=2.5, label=label)
    axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.12, linewidth=0)
