"""Pictures of volumes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

PLANES = ("sagittal", "coronal", "axial")


def reconstruction_figure(image: np.ndarray, hidden: np.ndarray, reconstruction: np.ndarray, title: str = "") -> Figure:
    """Show original, masked and reconstructed volume in three planes through the middle.

    Args:
        image: (D, H, W), axes to right, anterior, superior.
        hidden: (D, H, W), bool, True = hidden.
        reconstruction: (D, H, W).
        title: above the picture.

    Returns:
        A figure of three rows (planes) and three columns.
    """
    low, high = np.percentile(image, (1, 99))
    volumes = {"original": image, "masked": np.where(hidden, np.nan, image), "reconstruction": reconstruction}
    figure = Figure(figsize=(7.5, 7.8), layout="constrained")
    for row, plane in enumerate(PLANES):
        for column, (name, volume) in enumerate(volumes.items()):
            axes = figure.add_subplot(3, 3, 3 * row + column + 1)
            axes.set_facecolor("#3b6ea5")
            axes.imshow(middle_slice(volume, row).T, cmap="gray", vmin=low, vmax=high, origin="lower")
            axes.set(xticks=[], yticks=[], title=name if row == 0 else "", ylabel=plane if column == 0 else "")
    figure.suptitle(title)
    return figure


def middle_slice(volume: np.ndarray, axis: int) -> np.ndarray:
    """Return the slice through the middle of `axis`."""
    return np.take(volume, volume.shape[axis] // 2, axis=axis)
