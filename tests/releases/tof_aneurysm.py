"""TOF-MRA aneurysm data in plain folders, images as NRRD."""

from __future__ import annotations

from pathlib import Path

from tests.releases.labelled_folders import write_plain


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the data, one scan more than there are labels."""
    return write_plain(folder, num_cases)
