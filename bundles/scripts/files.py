"""Files that are either as before or complete, also when the disk fills up or the process is killed."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch


def write_atomically(path: str | Path, write: Callable[[str], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in its place.

    Args:
        path: the file to be; its folder is made where it is missing.
        write: is given the temporary file's name, which ends like `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # the name starts with a dot and ends as writers expect, which go by the suffix
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=path.name)
    os.close(handle)
    try:
        write(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def save_tensors(content: dict[str, Any], path: str | Path) -> None:
    """Save what `torch.load(weights_only=True)` can read again."""
    write_atomically(path, lambda name: torch.save(content, name))


def save_json(content: Any, path: str | Path) -> None:
    """Save as indented JSON."""
    text = json.dumps(content, indent=4) + "\n"
    write_atomically(path, lambda name: Path(name).write_text(text))


def save_csv(rows: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Save rows of equal keys as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, lambda name: Path(name).write_text(text.getvalue()))
