"""Pages that need nothing but themselves: HTML with figures inside."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from scripts.files import write_atomically


def page_templates(folder: Path) -> Environment:
    """Return the templates of a folder, which may include the common `style.css`."""
    return Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def save_figure(figure: Figure, path: Path) -> str:
    """Save a figure and return it as a data URL."""

    def save(name: str) -> None:
        figure.savefig(name, dpi=130, metadata={"Software": None})

    write_atomically(path, save)
    return data_url(path)


def data_url(png: Path) -> str:
    """Return a PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(png.read_bytes()).decode()
