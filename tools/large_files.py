"""Weights that are kept out of a repository: listed in the bundle's `large_files.yml`, as MONAI's model zoo has it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml

from scripts.errors import InputError
from scripts.files import save_bytes, save_text

from .zoo_check.files import large_file_faults, large_files

WEIGHTS = ("models/model.pt", "models/model.ts")


def list_weights(bundle: Path, release: str, output: Path, url: str) -> None:
    """Put a bundle's weights beside its zip and list them, for MONAI's `download_large_files`.

    Args:
        bundle: the bundle's folder.
        release: name and version.
        output: folder of the zips.
        url: where that will be served.

    Raises:
        InputError: if there are no weights.
    """
    entries = []
    for path in (bundle / name for name in WEIGHTS if (bundle / name).is_file()):
        content, name = path.read_bytes(), f"{release}_{path.name}"
        save_bytes(content, output / name)
        place = {"path": path.relative_to(bundle).as_posix(), "url": f"{url.rstrip('/')}/{name}"}
        entries.append({**place, "hash_val": hashlib.sha256(content).hexdigest(), "hash_type": "sha256"})
    if not entries:
        raise InputError(f"bundle {bundle.name} has no {' or '.join(WEIGHTS)} to list: train it first")
    save_text(yaml.safe_dump({"large_files": entries}, sort_keys=False), bundle / "large_files.yml")


def check_weights(bundle: Path) -> None:
    """Make sure that the files that a bundle lists are there, for they belong into its zip.

    Args:
        bundle: the bundle's folder.

    Raises:
        InputError: if the list is faulty, or a file is missing or another one.
    """
    for entry in large_files(bundle):
        for fault in large_file_faults(bundle, entry):
            raise InputError(f"bundle {bundle.name}: large_files.yml: {fault}; write it anew with --large_files True")
        if not (bundle / entry["path"]).is_file():
            raise InputError(
                f"bundle {bundle.name}: {entry['path']} is listed in large_files.yml, but not here: fetch it by "
                f"python -m monai.bundle download_large_files --bundle_path {bundle}"
            )
