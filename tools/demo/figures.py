"""The figures of the demo's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ..curves import Curve
from ..pages import INK, dress

PLANES = ("sagittal", "coronal", "axial")
ARM_COLOURS = {"fine-tuned": "#0f766e", "from scratch": "#c2571a"}
CLASS_COLOURS = ("#ffb000", "#38d3f5", "#ff5fa2", "#8dff6a", "#c9a0ff", "#ff7a4d")
HIDDEN_COLOUR = "#3b6ea5"

Place = Literal["outside lower center", "outside lower right"]
Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Reconstruction:
    """One scan before and after: (X, Y, Z) volumes on one grid, and the voxel spacing in mm."""

    case: str
    original: Volume
    masked: Volume
    reconstruction: Volume
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class Segmentation:
    """One test case: image and label maps (X, Y, Z) on one grid, and the voxel spacing in mm."""

    case: str
    image: Volume
    prediction: Volume
    reference: Volume
    spacing: tuple[float, float, float]


def pretraining_curves(curves: Mapping[str, Curve]) -> Figure:
    """Plot the training loss per step and the held-out reconstruction error per epoch, as far as they were logged."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    if "train_loss" in curves:
        _plot_loss(left, curves["train_loss"], "#0f766e", "")
    if "val_reconstruction_error" in curves:
        right.plot(*curves["val_reconstruction_error"], color="#0f766e", marker="o", markersize=3)
    _dress(left, "training loss", "step", "squared error, hidden voxels")
    _dress(right, "held-out scans", "epoch", "reconstruction error")
    return figure


def segmentation_curves(arms: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """Plot the training loss per step and the validation Dice per epoch of both arms.

    Args:
        arms: name of the arm to its curves by tag.
    """
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for arm, curves in arms.items():
        if "train_loss" in curves:
            _plot_loss(left, curves["train_loss"], ARM_COLOURS[arm], arm)
        if "val_mean_dice" in curves:
            right.plot(*curves["val_mean_dice"], color=ARM_COLOURS[arm], marker="o", markersize=3, label=arm)
    _dress(left, "training loss", "step", "loss")
    _dress(right, "validation cases", "epoch", "mean Dice")
    right.set_ylim(0, 1)
    return figure


def reconstruction_figure(cases: Sequence[Reconstruction]) -> Figure:
    """Show original, masked and reconstructed: three planes of the first case, the axial one of the others."""
    rows = [(cases[0], axis) for axis in (2, 1, 0)] + [(case, 2) for case in cases[1:]]
    figure = Figure(figsize=(7.2, 2.45 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), 3, squeeze=False)
    for axes, (case, axis) in zip(grid, rows, strict=True):
        _show_reconstruction(axes, case, axis)
        axes[0].set_ylabel(f"{case.case}\n{PLANES[axis]}", fontsize=8, color=INK)
    for axes, title in zip(grid[0], ("original", "masked", "reconstructed"), strict=True):
        axes.set_title(title, fontsize=10, color=INK)
    return figure


def overlay_figure(cases: Sequence[Segmentation], classes: Mapping[int, str]) -> Figure:
    """Show prediction (solid) and reference (dashed) contours in three planes through each target's centre."""
    figure = Figure(figsize=(7.2, 2.45 * len(cases) + 0.5), layout="constrained")
    grid = figure.subplots(len(cases), 3, squeeze=False)
    for row, case in zip(grid, cases, strict=True):
        for axes, axis in zip(row, (2, 1, 0), strict=True):
            show_contours(axes, case, axis, list(classes))
        row[0].set_ylabel(case.case, fontsize=8, color=INK)
    for axes, axis in zip(grid[0], (2, 1, 0), strict=True):
        axes.set_title(PLANES[axis], fontsize=10, color=INK)
    _explain_contours(figure, classes, "outside lower center")
    return figure


def overview_figure(scan: Reconstruction, case: Segmentation, classes: Mapping[int, str]) -> Figure:
    """Show the whole road in one row: input, masked, reconstructed, segmented."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    panels = figure.subplots(1, 4)
    _show_reconstruction(panels[:3], scan, 2)
    show_contours(panels[3], case, 0, list(classes))
    (across, upwards, _), (width, height, _) = scan.spacing, scan.original.shape
    panels[3].set_box_aspect(height * upwards / (width * across))  # as tall as the panels before it
    titles = ("unlabelled scan", "masked", "reconstructed", "segmented after fine-tuning")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=10, color=INK)
    _explain_contours(figure, classes, "outside lower right")  # below the panel that has them
    return figure


def show_contours(axes: Axes, case: Segmentation, axis: int, labels: Sequence[int]) -> None:
    """Draw the contours of both label maps over the image, in the plane through the reference's centre of mass."""
    target = case.reference if case.reference.any() else np.ones_like(case.reference)
    index = int(round(float(np.nonzero(target)[axis].mean())))
    low, high = np.percentile(case.image, (0.5, 99.5))
    _show(axes, case.image, axis, index, case.spacing, float(low), float(high))
    axes.set_adjustable("datalim")  # crops differ in shape; so their panels stay equal and in line
    for volume, style in zip((case.prediction, case.reference), _STYLES, strict=True):
        plane = np.take(volume, index, axis=axis).T
        for order, label in enumerate(labels):
            if (plane == label).any():
                axes.contour(
                    np.equal(plane, label).astype(float), [0.5], colors=_colour(order), linewidths=1.4, linestyles=style
                )


_STYLES = {"-": "prediction", "--": "reference"}


def _explain_contours(figure: Figure, classes: Mapping[int, str], place: Place) -> None:
    keys = [Line2D([], [], color=_colour(index), lw=3, label=name) for index, name in enumerate(classes.values())]
    keys += [Line2D([], [], color=INK, lw=1.5, ls=style, label=name) for style, name in _STYLES.items()]
    figure.legend(handles=keys, loc=place, ncols=len(keys), frameon=False, fontsize=8)


def _show_reconstruction(axes: Sequence[Axes], case: Reconstruction, axis: int) -> None:
    low, high = np.percentile(case.original, (0.5, 99.5))
    hidden = case.masked != case.original
    index = case.original.shape[axis] // 2
    volumes = (case.original, np.where(hidden, np.nan, case.original), case.reconstruction)
    for panel, volume in zip(axes, volumes, strict=True):
        panel.set_facecolor(HIDDEN_COLOUR)
        _show(panel, volume, axis, index, case.spacing, float(low), float(high))


def _show(
    axes: Axes, volume: Volume, axis: int, index: int, spacing: tuple[float, float, float], low: float, high: float
) -> None:
    across, upwards = (spacing[other] for other in range(3) if other != axis)
    plane = np.take(volume, index, axis=axis).T
    axes.imshow(plane, cmap="gray", vmin=low, vmax=high, origin="lower", aspect=upwards / across)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _plot_loss(axes: Axes, curve: Curve, colour: str, label: str) -> None:
    """Plot a loss faintly and its moving average strongly."""
    steps, values = curve
    width = max(1, len(values) // 25)
    mean = np.convolve(values, np.ones(width) / width, mode="valid")
    axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
    axes.plot(steps[width - 1 :], mean, color=colour, linewidth=1.6, label=label or None)


def _dress(axes: Axes, title: str, x: str, y: str) -> None:
    dress(axes, title, x, y)
    if not axes.lines:
        axes.text(0.5, 0.5, "not logged", ha="center", va="center", transform=axes.transAxes, color=INK)


def _colour(order: int) -> str:
    return CLASS_COLOURS[order % len(CLASS_COLOURS)]
