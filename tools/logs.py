"""Logs of commands."""

from __future__ import annotations

import re
from pathlib import Path

LAST_LINES = 15


def last_lines(log: Path) -> list[str]:
    """Return the last lines of a log; a progress bar's redraws count as lines."""
    lines = re.split(r"[\r\n]+", log.read_text(errors="replace"))
    return [line for line in lines if line.strip()][-LAST_LINES:]
