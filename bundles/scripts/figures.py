"""Pictures of volumes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

PLANES = ("sagittal", "coronal", "axial")


def reconstruction_figure(image: np.ndarray, hidden: np.ndarray, reconstruction: np.ndarray, title: str = "") -> Figure:
    """Show original, masked and reconstructed image, a volume in three planes through the middle.

    Args:
        image: (D, H, W), axes to right, anterior, superior; or (H, W), rows from above.
        hidden: of the image's shape, bool, True = hidden.
        reconstruction: of the image's shape.
        title: above the picture.

    Returns:
        A figure of three columns, and three rows (planes) or one.
    """
    low, high = np.percentile(image, (1, 99))
    images = {"original": image, "masked": np.where(hidden, np.nan, image), "reconstruction": reconstruction}
    planes = PLANES if image.ndim == 3 else ("",)
    figure = Figure(figsize=(7.5, 2.5 * len(planes) + 0.3), layout="constrained")
    for row, plane in enumerate(planes):
        for column, (name, values) in enumerate(images.items()):
            axes = figure.add_subplot(len(planes), 3, 3 * row + column + 1)
            axes.set_facecolor("#3b6ea5")
            shown = middle_slice(values, row).T[::-1] if image.ndim == 3 else values
            axes.imshow(shown, cmap="gray", vmin=low, vmax=high)
            axes.set(xticks=[], yticks=[], title=name if row == 0 else "", ylabel=plane if column == 0 else "")
    figure.suptitle(title)
    return figure


def middle_slice(volume: np.ndarray, axis: int) -> np.ndarray:
    """Return the slice through the middle of `axis`."""
    return np.take(volume, volume.shape[axis] // 2, axis=axis)
