"""What was made of which files: the provenance by which an interrupted preparation goes on, and the account."""

from __future__ import annotations

import json
import platform
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from scripts.data.code import code_digest
from scripts.errors import InputError
from scripts.files import save_csv, save_json

from .case import Case
from .matching import visible_files

PROVENANCE = "provenance.json"
ACCOUNT = "account.csv"
COLUMNS = ("case", "verdict", "notes")
PACKAGES = ("itk", "matplotlib", "nibabel", "numpy", "pillow", "scipy")


def read_former(target: Path, dataset: str) -> dict[str, Any]:
    """Return the record of an earlier preparation, or an empty one.

    Raises:
        InputError: the folder holds something else.
    """
    path = target / PROVENANCE
    if path.is_file():
        former: dict[str, Any] = json.loads(path.read_text())
        if former.get("dataset") == dataset:
            return former
        raise InputError(f"{target} holds {former.get('dataset')}, not {dataset}: give another --target")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} holds something that was not prepared here: give an empty or a new --target")
    return {"cases": {}}


def preparing_code(module: ModuleType) -> str:
    """Return a digest of the code that prepares a dataset: its own module's and all that datasets share."""
    return code_digest([*sorted(Path(__file__).parent.glob("*.py")), Path(str(module.__file__))])


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that read, resample and write."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def file_stamps(case: Case, source: Path) -> dict[str, dict[str, Any]]:
    """Return place, size in bytes and time of change of a case's files by role, quickly, without reading them."""
    stamps = {}
    for role, path in case.files.items():
        stats = [file.stat() for file in _members(path)]
        stamps[role] = {
            "path": path.relative_to(source).as_posix(),
            "files": len(stats),
            "bytes": sum(stat.st_size for stat in stats),
            "changed_ns": sum(stat.st_mtime_ns for stat in stats),
        }
    return stamps


def is_unchanged(former: dict[str, Any] | None, stamps: dict[str, dict[str, Any]]) -> bool:
    """Tell whether a case of an earlier preparation was made of these very files."""
    if former is None:
        return False
    kept = {role: {k: v for k, v in entry.items() if k != "sha256"} for role, entry in former["files"].items()}
    return kept == stamps


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the listing of a folder's files with theirs."""
    if not path.is_dir():
        with open(path, "rb") as file:
            total = sha256()
            while block := file.read(1 << 20):
                total.update(block)
        return total.hexdigest()
    lines = "".join(f"{digest(file)}  {file.relative_to(path).as_posix()}\n" for file in visible_files(path))
    return sha256(lines.encode(errors="surrogateescape")).hexdigest()


def write_record(target: Path, record: dict[str, Any]) -> None:
    """Write the provenance, and the account as a table of it."""
    taken = [(name, "taken", "; ".join(entry["notes"])) for name, entry in record["cases"].items()]
    refused = [(name, "refused", reason) for name, reason in record["refused"].items()]
    save_json(record, target / PROVENANCE)
    save_csv([dict(zip(COLUMNS, row, strict=True)) for row in sorted(taken + refused)], target / ACCOUNT, COLUMNS)


def _members(path: Path) -> list[Path]:
    return list(visible_files(path)) if path.is_dir() else [path]
