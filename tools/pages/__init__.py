"""Pages that need nothing but themselves: HTML with figures inside, and how these look."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.files import write_atomically

INK = "#1f2937"  # of all text in a figure
MOST_INSIDE = 8  # lines that a legend inside of a plot leaves room for


def page_templates(folder: Path) -> Environment:
    """Return the templates of a folder, which may include the common `style.css`."""
    return Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def dress(axes: Axes, title: str, x: str, y: str) -> None:
    """Give a plot its title, the names of its axes and, where lines have names, a legend, all of one look."""
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set_xlabel(x, fontsize=8, color=INK)
    axes.set_ylabel(y, fontsize=8, color=INK)
    axes.tick_params(labelsize=8, colors=INK)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > MOST_INSIDE:
        figure = axes.get_figure()
        assert figure is not None
        figure.legend(handles, labels, loc="outside lower left", ncols=2, frameon=False, fontsize=7)
    elif handles:
        axes.legend(frameon=False, fontsize=8)


def save_figure(figure: Figure, path: Path) -> str:
    """Save a figure and return it as a data URL."""

    def save(name: str) -> None:
        figure.savefig(name, dpi=130, metadata={"Software": None})

    write_atomically(path, save)
    return data_url(path)


def data_url(png: Path) -> str:
    """Return a PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(png.read_bytes()).decode()
