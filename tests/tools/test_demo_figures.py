"""The figures of the demo's report say what their lines are."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tools.demo.figures import CLASS_COLOURS, Reconstruction, Segmentation, overlay_figure, overview_figure

CLASSES = {1: "anterior", 2: "posterior"}


def overview():
    scan = np.random.default_rng(0).random((8, 8, 8), dtype=np.float32)
    return overview_figure(Reconstruction("a", scan, scan, scan, (1, 1, 1)), segmented(), CLASSES)


def overlay():
    return overlay_figure([segmented()], CLASSES)


def segmented():
    labels = np.zeros((8, 8, 8), dtype=np.float32)
    labels[2:6, 2:6, 2:4], labels[2:6, 2:6, 4:6] = 1, 2
    return Segmentation("a", labels, labels, labels, (1, 1, 1))


@pytest.mark.parametrize("draw", [overview, overlay])
def test_the_legend_tells_classes_by_colour_and_the_reference_by_its_dashes(draw):
    figure = draw()
    figure.draw_without_rendering()
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    keys = dict(zip(names, legend.get_lines(), strict=True))
    assert names == [*CLASSES.values(), "prediction", "reference"]
    assert [to_hex(keys[name].get_color()) for name in CLASSES.values()] == list(CLASS_COLOURS[: len(CLASSES)])
    assert [keys[name].get_linestyle() for name in ("prediction", "reference")] == ["-", "--"]
