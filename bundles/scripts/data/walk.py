"""All folders below one."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from pathlib import Path

logger = logging.getLogger(__name__)


def folders_below(folder: Path, left_out: Collection[str] = ()) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and all below it, links followed, each with its files; what is hidden is ignored.

    One that cannot be listed is warned of.

    Args:
        folder: where to begin.
        left_out: names of folders to ignore, in small letters, without regard to case.
    """
    seen: set[str] = set()  # links may lead in circles
    for root, folders, files in os.walk(folder, onerror=_warn, followlinks=True):
        if os.path.realpath(root) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(root))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name.lower() not in left_out)
        yield root, sorted(name for name in files if not name.startswith("."))


def _warn(error: OSError) -> None:
    logger.warning("%s cannot be listed (%s): what it holds is left out", error.filename, error.strerror)
