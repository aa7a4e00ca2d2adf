"""A release zip: one folder of the bundle's name, plain files, nothing that leaves it."""

from __future__ import annotations

import json
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def archive_faults(path: Path) -> Iterator[str]:
    """Yield what is wrong with a zip before it is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        yield f"it is damaged ({error})"
        return
    if damaged is not None:
        yield f"member {damaged} is damaged"
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [PurePosixPath(member.filename) for member in members]
        yield from (
            f"member {name} would be unpacked outside" for name in names if name.is_absolute() or ".." in name.parts
        )
        yield from (f"member {m.filename} is a link" for m in members if stat.S_ISLNK(m.external_attr >> 16))
        tops = sorted({name.parts[0] for name in names})
        if len(tops) != 1 or any(len(name.parts) < 2 for name in names):
            yield f"it holds {', '.join(tops)} where one folder is expected"
            return
        if any(name.name.startswith("large_files") for name in names):
            yield "it holds large_files, which a release has instead of"
        if len({member.date_time for member in members}) > 1:
            yield "its files have different dates"
        try:
            version = json.loads(archive.read(f"{tops[0]}/configs/metadata.json"))["version"]
        except (KeyError, ValueError):
            yield f"it has no version in {tops[0]}/configs/metadata.json"
            return
        if path.name != f"{tops[0]}_v{version}.zip":
            yield f"its name should be {tops[0]}_v{version}.zip"
