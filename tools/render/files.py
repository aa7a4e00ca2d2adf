"""Texts of rendered files, and how they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.files import write_atomically


def to_json(config: dict[str, Any]) -> str:
    """Write a config as `ConfigParser.export_config_file(indent=4)` does, with a final newline.

    Args:
        config: rendered config.

    Returns:
        JSON text.
    """
    return json.dumps(config, indent=4) + "\n"


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Args:
        path: file to write; its folder is made where it is missing.
        content: its bytes.
    """
    write_atomically(path, lambda name: Path(name).write_bytes(content))
