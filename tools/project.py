"""Where the project stands, and which bundles it has."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def bundle_names(root: Path) -> list[str]:
    """List the bundles, i.e. the folders of `bundles` that hold a card.

    Args:
        root: project folder.

    Returns:
        Sorted folder names.
    """
    return sorted(card.parent.name for card in (root / "bundles").glob("*/card.json"))
