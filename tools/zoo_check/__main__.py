"""Check most of what the model zoo's CI does: `python -m tools.zoo_check [names, folders or zips] [--parts ...]`."""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from scripts.errors import InputError

from ..cli import cli
from ..project import ROOT, bundle_names
from .archive import archive_faults
from .code import code_faults
from .configs import config_faults
from .files import file_faults, file_notes
from .metadata import metadata_faults
from .network import network_faults

PARTS = ("files", "metadata", "configs", "code", "network")
Check = Callable[[Path], Iterator[str]]


def main(*bundles: str, parts: str | tuple[str, ...] = PARTS, preset: str | None = None) -> None:
    """Say per bundle what holds, and leave with exit code 1 where something does not.

    Args:
        bundles: names, folders or release zips; all bundles when none is given.
        parts: what to check, all when not given.
        preset: check the network with this overlay, such as `tiny`, instead of at its full size.
    """
    chosen = (parts,) if isinstance(parts, str) else tuple(parts)
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        raise InputError(f"parts names {', '.join(unknown)}: allowed are {', '.join(PARTS)}")
    failed = [name for name in bundles or bundle_names(ROOT) if not report(found(name), chosen, preset)]
    if failed:
        sys.exit(f"error: {len(failed)} of {len(bundles or bundle_names(ROOT))} do not hold: {', '.join(failed)}")


def found(name: str) -> Path:
    """Return the folder or zip that a name means."""
    for path in (ROOT / "bundles" / name, Path(name)):
        if path.is_dir() or path.suffix == ".zip" and path.is_file():
            return path
    raise InputError(f"{name} is no bundle: give a name out of {', '.join(bundle_names(ROOT))}, a folder or a zip")


def report(path: Path, parts: tuple[str, ...] = PARTS, preset: str | None = None) -> bool:
    """Check a bundle, print what was found and tell whether all holds."""
    faults: dict[str, list[str]] = {}
    notes: list[str] = []
    if path.suffix == ".zip":
        faults["zip"] = list(archive_faults(path))
        if not faults["zip"]:
            with tempfile.TemporaryDirectory() as folder:
                with zipfile.ZipFile(path) as archive:
                    archive.extractall(folder)
                bundle = next(Path(folder).iterdir())
                faults |= check(bundle, parts, preset)
                notes += file_notes(bundle)
    else:
        faults |= check(path, parts, preset)
        notes += file_notes(path)
    holds = not any(faults.values())
    print(f"{path.name}: {', '.join(f'{part} {verdict(texts)}' for part, texts in faults.items())}")
    for part, texts in faults.items():
        for text in texts:
            print(f"    {part}: {text}")
    for text in notes if "files" in parts else []:
        print(f"    note: {text}")
    sys.stdout.flush()
    return holds


def verdict(texts: list[str]) -> str:
    """Return the word for a part with these faults."""
    return "RED" if texts else "ok"


def check(bundle: Path, parts: tuple[str, ...] = PARTS, preset: str | None = None) -> dict[str, list[str]]:
    """Return the faults of a bundle's folder by part; parts after files that cannot be read are left out."""
    checks: dict[str, Check] = {
        "files": file_faults,
        "metadata": lambda folder: metadata_faults(json.loads((folder / "configs" / "metadata.json").read_text())),
        "configs": config_faults,
        "code": code_faults,
        "network": partial(network_faults, preset=preset),
    }
    faults: dict[str, list[str]] = {}
    for part in (part for part in PARTS if part in parts):
        try:
            faults[part] = list(checks[part](bundle))
        except (OSError, ValueError, KeyError) as error:  # a file that is missing or malformed, as `files` says
            faults[part] = [f"cannot be checked ({type(error).__name__}: {error})"]
    return faults


if __name__ == "__main__":
    cli(main)
