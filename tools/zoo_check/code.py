"""The code of a bundle, by this project's linter and formatter, which stand for the zoo's four."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ..project import ROOT


def code_faults(bundle: Path) -> Iterator[str]:
    """Yield what the linter and the formatter find in `scripts`."""
    yield from _found((bundle / "scripts").resolve())  # the checkout's bundles share one


@cache
def _found(folder: Path) -> tuple[str, ...]:
    faults = []
    for command in (["check", "--output-format", "concise"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", str(ROOT / "pyproject.toml"), "."]
        done = subprocess.run(ruff, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            faults.append(" | ".join((done.stdout + done.stderr).strip().splitlines()[:3]))
    return tuple(faults)
