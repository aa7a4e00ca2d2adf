"""What a bundle will really run: its configs with overlays and knobs, and a hash of that."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from monai.bundle import ConfigParser

from scripts.errors import InputError

from .commands import Knobs
from .project import ROOT


def effective_config(bundle: str, configs: list[str], knobs: Knobs) -> dict[str, Any]:
    """Return a bundle's train.json with overlays and knobs applied, unevaluated.

    Args:
        bundle: folder below `bundles`.
        configs: overlays, such as "compact".
        knobs: overrides, such as `network_def#sparse`.

    Raises:
        InputError: the bundle has no such config, or a knob is none of its entries.
    """
    folder = ROOT / "bundles" / bundle / "configs"
    files = [folder / f"{name}.json" for name in ("train", *configs)]
    missing = [file for file in files if not file.exists()]
    if missing:
        raise InputError(
            f"there is no {missing[0].relative_to(ROOT)}: name a bundle that trains, and overlays that it has"
        )
    parser = ConfigParser(ConfigParser.load_config_files([str(file) for file in files]))
    unknown = [knob for knob in knobs if knob not in parser]
    if unknown:
        raise InputError(f"{bundle} has no knob {', '.join(unknown)}: its knobs are in {files[0].relative_to(ROOT)}")
    parser.update(dict(knobs))
    config: dict[str, Any] = parser.config
    return config


def digest(content: object) -> str:
    """Return a short hash that two JSON-like contents share if and only if they are equal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
