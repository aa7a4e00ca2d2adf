"""What a card need not say, because its template says it for all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .overlays import chained


def completed(card: dict[str, Any], template: Path) -> dict[str, Any]:
    """Lay a card over what its template has for every card.

    - `presets/<network>.json` has presets for the default network, each with its `purpose` and `overlay`. A card takes
      those that it names and lays its own ids over them.
    - `docs.json` has texts of the model card. References, where the card has none, are the template's and the data's.

    Args:
        card: a bundle's card.
        template: its template's folder.

    Returns:
        The card with whole presets and docs.
    """
    known = _read(template / "presets" / f"{card.get('network')}.json")
    presets = {
        name: chained(known[name]["overlay"], own) if name in known else own
        for name, own in card.get("presets", {}).items()
    }
    purposes = {name: known[name]["purpose"] for name in presets if name in known}
    common = _read(template / "docs.json")
    docs = common | card["docs"]
    docs["presets"] = purposes | docs.get("presets", {})
    if "references" in common and "references" not in card["docs"]:
        docs["references"] = [*common["references"], card["dataset"]["reference"]]
    return card | {"presets": presets, "docs": docs}


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return content
