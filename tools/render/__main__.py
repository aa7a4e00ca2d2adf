"""Render every bundle from its card and the template it names: `python -m tools.render [names] [--check]`."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.files import save_text

from ..cli import cli
from ..project import ROOT, bundle_names
from .bundle_table import with_tables
from .card import read_card
from .stale import apply, differences


def main(*names: str, check: bool = False, root: str = str(ROOT)) -> None:
    """Render bundles from their cards, and the table of bundles in README.md.

    Args:
        names: bundles to render; all when none is named.
        check: write nothing, list the files that differ and leave with exit code 1 if there are any.
        root: project folder.
    """
    folder = Path(root)
    found = {name: differences(name, folder) for name in names or bundle_names(folder)}
    readme = (folder / "README.md").read_text()
    with_table = with_tables(readme, [read_card(name, folder) for name in bundle_names(folder)])
    stale = [f"bundles/{name}/{path}" for name, changes in found.items() for path in changes]
    stale += ["README.md"] if with_table != readme else []
    for path in stale:
        print(f"{'stale' if check else 'rendered'}: {path}")
    if check:
        if stale:
            sys.exit("error: rendered files differ from their cards: run `make render` and commit the result")
        return
    for name, changes in found.items():
        apply(changes, folder / "bundles" / name)
    if with_table != readme:
        save_text(with_table, folder / "README.md")


if __name__ == "__main__":
    cli(main)
