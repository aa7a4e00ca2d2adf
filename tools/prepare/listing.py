"""What can be prepared, as a table in the terminal."""

from __future__ import annotations

from pathlib import Path

from scripts.errors import InputError

from ..project import ROOT
from .cards import dataset_module, dataset_names, dataset_section, downloads, layout


def list_datasets(root: Path = ROOT) -> str:
    """Return a paragraph for every dataset: name, title, licence, access, whether `--download` works, layout."""
    return "\n\n".join(_paragraph(dataset, root) for dataset in dataset_names())


def _paragraph(dataset: str, root: Path) -> str:
    module = dataset_module(dataset)
    lines = [f"layout: {layout(module)}"]
    try:
        card = dataset_section(dataset, root)
    except InputError:
        return "\n  ".join([f"{dataset}: no bundle yet", *lines])
    way = "--download" if downloads(module) else "by hand"
    lines = [f"licence: {card['licence']}", f"access: {way}; {card.get('access', card['reference'])}", *lines]
    return "\n  ".join([f"{dataset}: {card['name']}", *lines])
