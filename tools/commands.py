"""The commands that run bundles and tools, as lists to execute and as lines to type in the project folder."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from .project import ROOT

Knobs = dict[str, Any]
# of a pretraining on the images of a labelled dataset, which are all wanted, however small or of however thick slices
EVERY_SCAN: Knobs = {"min_fov_mm": 0, "max_spacing_mm": 1000, "min_file_kb": 0}


def tool_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of the project's tools."""
    return [*_python(), module, *arguments]


def bundle_command(bundle: str | Path, configs: list[str], knobs: Knobs) -> list[str]:
    """Return the command that runs a bundle's configs with some knobs, from the project folder.

    The bundle is a name in `bundles`, or a folder.
    """
    folder = shown(bundle) if isinstance(bundle, Path) else f"bundles/{bundle}"
    files = ",".join(f"'{folder}/configs/{config}.json'" for config in configs)
    command = [*_python(), "monai.bundle", "run", "--config_file", f"[{files}]", "--bundle_root", folder]
    for knob, value in knobs.items():
        text = "$None" if value is None else shown(value) if isinstance(value, Path) else str(value)
        command += [f"--{knob}", text]
    return command


def command_line(command: list[str]) -> str:
    """Return a command as one would type it: an argument with single quotes, as MONAI's list, in double ones."""
    plain = [f'"{part}"' if "'" in part and not set(part) & set('"$`\\!') else shlex.quote(part) for part in command]
    return " ".join(plain)


def shown(path: Path) -> str:
    """Return a path as the commands name it: relative inside the project folder, absolute outside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _python() -> list[str]:
    """Return the interpreter in use, as the commands name it."""
    return [shown(Path(sys.executable)), "-m"]
