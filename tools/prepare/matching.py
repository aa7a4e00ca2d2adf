"""Find the cases of a release by the paths of its files, however deep the archive was unpacked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from .case import Case, Found


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and below in order of path, without hidden ones such as macOS's `._*`, and locks."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "~$", "__MACOSX")):
            continue
        if entry.is_dir():
            yield from visible_files(entry)
        else:
            yield entry


def match_cases(
    source: Path, pattern: str, roles: Sequence[str], name: str = "{case}", group: str | None = None
) -> Found:
    """Collect the cases of which every role has just one file.

    Args:
        source: the download folder.
        pattern: regular expression of paths relative to `source`, without regard to case, with the named groups
            `case` and `role`, and others as `name` and `group` need them.
        roles: what a case must have, as `role` matches, in lower case.
        name: form of the prepared case's name, filled with the named groups.
        group: form of its group; None if every case is one.

    Returns:
        Complete cases, and why the others are not taken.
    """
    found: dict[str, dict[str, list[Path]]] = {}
    groups: dict[str, str] = {}
    for path in visible_files(source):
        if match := re.search(pattern, path.relative_to(source).as_posix(), re.IGNORECASE):
            words = match.groupdict()
            case = name.format_map(words)
            groups[case] = case if group is None else group.format_map(words)
            found.setdefault(case, {}).setdefault(words["role"].lower(), []).append(path)
    cases, refused = [], {}
    for case, files in sorted(found.items()):
        missing = [role for role in roles if role not in files]
        twice = [paths for role, paths in files.items() if role in roles and len(paths) > 1]
        if missing:
            refused[case] = f"it has no {' and no '.join(missing)}"
        elif twice:
            listed = " and ".join(str(path.relative_to(source)) for path in twice[0])
            refused[case] = f"it is there twice, as {listed}: keep one"
        else:
            cases.append(Case(case, groups[case], {role: files[role][0] for role in roles}))
    return Found(cases, refused)
