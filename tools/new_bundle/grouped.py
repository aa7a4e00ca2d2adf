"""Cases whose files are named by contrast: BIDS, or a folder per case."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.data.reading import as_image
from scripts.data.scans import LABEL_WORDS, SUFFIXES, stem
from scripts.data.walk import folders_below

from .faults import Fault

WORDS = LABEL_WORDS | {"roi"}  # beside a scan; by itself, a scan may be cut to a region of interest
BIDS_NAME = re.compile(r"(sub-[A-Za-z0-9]+)((?:_[a-z]+-[A-Za-z0-9]+)*)_([A-Za-z0-9]+)\.(?:nii|nii\.gz)")
Cases = tuple[list[dict[str, Any]], list[Fault], list[str]]


def bids_cases(folder: Path, channels: list[str] | None) -> Cases:
    """Group the files of a BIDS folder, its derivatives included, by subject and session.

    Args:
        folder: searched through.
        channels: BIDS suffixes to take, in order (`["dwi", "adc"]`); None takes all that there are.

    Returns:
        Cases, faults, and the suffixes taken.
    """
    return _grouped(_bids_files(folder), channels)


def patient_cases(folder: Path, channels: list[str] | None) -> Cases:
    """Group files by the folder they lie in.

    Args:
        folder: whose folders are the cases.
        channels: file names without suffix to take, in order; None takes all that there are.

    Returns:
        Cases, faults, and the names taken.
    """
    return _grouped(((path.parent.name, stem(path.name), str(path)) for path in _scans(folder)), channels)


def _grouped(files: Iterator[tuple[str, str, str]], channels: list[str] | None) -> Cases:
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for case, contrast, path in files:
        groups[case]["label" if _is_label(contrast) else contrast].append(path)
    there = sorted({contrast for group in groups.values() for contrast in group} - {"label"})
    wanted = channels or there
    cases, faults = [], []
    for name, group in sorted(groups.items()):
        missing = [kind for kind in [*wanted, "label"] if kind not in group]
        several = [kind for kind in [*wanted, "label"] if len(group.get(kind, [])) > 1]
        if missing:
            text = (
                f"no {' and no '.join(missing)}; there are {', '.join(sorted(group))}: add it, or name other --channels"
            )
            faults.append(Fault(name, "missing partner", text))
        elif several:
            text = f"{len(group[several[0]])} files for {several[0]}: {', '.join(group[several[0]])}: keep one"
            faults.append(Fault(name, "missing partner", text))
        else:
            images = [group[kind][0] for kind in wanted]
            cases.append({"case": name, "image": as_image(images), "label": group["label"][0]})
    return (cases if wanted else []), faults, wanted


def _bids_files(folder: Path) -> Iterator[tuple[str, str, str]]:
    for path in _scans(folder):
        if found := BIDS_NAME.fullmatch(path.name):
            session = re.search(r"_ses-[A-Za-z0-9]+", found[2])
            yield found[1] + (session[0] if session else ""), found[3], str(path)


def _scans(folder: Path) -> Iterator[Path]:
    for root, files in folders_below(folder):
        yield from (Path(root, name) for name in files if name.lower().endswith(SUFFIXES))


def _is_label(contrast: str) -> bool:
    return bool(WORDS & set(re.split(r"[_-]", contrast.lower())))
