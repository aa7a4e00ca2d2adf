"""Published divisions of a dataset: JSON files that name its training and its test cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_json

PARTS = ("train", "test")


def listed_parts(split: str, splits_dir: str | Path, cases: Iterable[str]) -> dict[str, list[str]]:
    """Read a list and make sure that it divides just these cases.

    Args:
        split: name of a list in `splits_dir`, or a JSON file `{"train": [case, ...], "test": [case, ...]}`.
        splits_dir: folder of the bundle's lists, `<name>.json`.
        cases: names of the dataset's cases.

    Returns:
        Case names by part.

    Raises:
        InputError: there is no such list, it is malformed or names a case twice, or it names cases that the dataset
            lacks or lacks cases that the dataset has.
    """
    path = _file_of(split, Path(splits_dir))
    content = read_json(path)
    if not (isinstance(content, dict) and all(_is_list_of_names(content.get(part)) for part in PARTS)):
        raise InputError(f'{path} is no split: expected {{"train": [case, ...], "test": [case, ...]}}')
    parts = {part: list(content[part]) for part in PARTS}
    counts = Counter(name for names in parts.values() for name in names)
    present = set(cases)
    for problem, names, remedy in (
        ("names twice", {name for name, count in counts.items() if count > 1}, "correct the list"),
        ("names, but the dataset lacks,", counts.keys() - present, "add these cases or rename them as in the list"),
        ("does not name, but the dataset has,", present - counts.keys(), "remove these cases or name another split"),
    ):
        if names:
            shown = ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "")
            raise InputError(f"split {split} {problem} {len(names)} cases ({shown}): {remedy}")
    return parts


def _file_of(split: str, folder: Path) -> Path:
    known = {path.stem: path for path in sorted(folder.glob("*.json"))}
    if split in known:
        return known[split]
    if not Path(split).is_file():
        raise InputError(f"split {split} is not known: give one of {', '.join(known) or '(none here)'}, or a JSON file")
    return Path(split)


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)
