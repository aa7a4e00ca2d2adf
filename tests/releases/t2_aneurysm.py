"""T2 aneurysm data in nnU-Net raw layout."""

from __future__ import annotations

from pathlib import Path

from tests.releases.labelled_folders import write_raw


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the data, one scan more than there are labels."""
    return write_raw(folder, num_cases)
