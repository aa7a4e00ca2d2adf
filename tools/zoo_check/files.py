"""The files of a bundle: which there are, how large, and what must not be in them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from scripts.checkpoints import read_checkpoint
from scripts.checkpoints.read import MODEL
from scripts.errors import InputError

REQUIRED = (
    "LICENSE",
    "configs/inference.json",
    "configs/logging.conf",
    "configs/metadata.json",
    "docs/README.md",
    "docs/data_license.txt",
    "scripts/__init__.py",
)
LIMIT = 25 * 2**20  # bytes of a file in the zoo's repository
NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")
MACHINE_PATH = re.compile(r"(?<![\w.])(?:/(?:home|root|Users|work|workspace|mnt|scratch|tmp)/|[A-Z]:\\\\?\w)[^\s'\"]*")
ABSOLUTE = re.compile(r'"((?:/|[A-Z]:\\\\)[^"]*)"')  # in JSON
ENTRY = {"path", "url", "hash_val", "hash_type"}
DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}


def file_faults(bundle: Path) -> Iterator[str]:
    """Yield what is wrong with the files of a bundle's folder."""
    if not NAME.fullmatch(bundle.name):
        yield f"the folder's name {bundle.name} is not of lower-case words joined by underscores"
    yield from (f"{file} is missing" for file in REQUIRED if not (bundle / file).is_file())
    licence = bundle / "LICENSE"
    if licence.is_file() and "Apache License" not in licence.read_text():
        yield "LICENSE is not the Apache License"
    readme = bundle / "docs" / "README.md"
    if readme.is_file() and (bundle / "configs" / "train.json").is_file() and "TorchScript" not in readme.read_text():
        yield "docs/README.md does not say how the network is exported to TorchScript"
    for path in sorted(text_files(bundle)):
        name, text = path.relative_to(bundle).as_posix(), path.read_text()
        yield from (f"{name} names a machine's path: {found}" for found in sorted(set(MACHINE_PATH.findall(text))))
        if text and not text.endswith("\n"):
            yield f"{name} has no final newline"
        if path.suffix == ".json":
            yield from (f"{name} is {fault}" for fault in json_faults(text))
    for found in plan_paths(bundle):
        yield f"{MODEL} names a machine's path: {found}; tools.average writes it without"
    listed = large_files(bundle)
    for path in sorted(bundle.rglob("*")):
        name = path.relative_to(bundle).as_posix()
        if path.is_file() and path.stat().st_size > LIMIT and name not in {entry.get("path") for entry in listed}:
            yield f"{name} is larger than {LIMIT >> 20} MiB: list it in large_files.yml"
    for entry in listed:
        yield from (f"large_files.yml: {fault}" for fault in large_file_faults(bundle, entry))


def file_notes(bundle: Path) -> Iterator[str]:
    """Yield what a bundle of this project may lack, and one in the zoo may not."""
    if not (bundle / MODEL).is_file() and MODEL not in {entry.get("path") for entry in large_files(bundle)}:
        yield f"the zoo's CI asks for {MODEL}, which is neither there nor in large_files.yml"


def plan_paths(bundle: Path) -> list[str]:
    """Return the absolute paths in the plan that the weights carry."""
    try:
        plan = read_checkpoint(bundle).get("plan", {})
    except InputError:  # there are no weights, or none that can be read, as the check of the network says
        return []
    return ABSOLUTE.findall(json.dumps(plan, default=str))


def text_files(bundle: Path) -> Iterator[Path]:
    """Yield the configs, documents and code of a bundle."""
    for pattern in ("*.json", "configs/*", "docs/*.md", "docs/*.txt", "splits/*.json", "scripts/**/*.py"):
        yield from (path for path in bundle.glob(pattern) if path.is_file())


def json_faults(text: str) -> Iterator[str]:
    """Yield why a JSON text is not as the zoo's formatter leaves it: valid, indented by 4, one final newline."""
    try:
        content = json.loads(text)
    except ValueError as error:
        yield f"not valid JSON ({error})"
        return
    if text.rstrip("\n") not in (json.dumps(content, indent=4, ensure_ascii=ascii_) for ascii_ in (True, False)):
        yield "not indented by 4"


def large_files(bundle: Path) -> list[dict[str, Any]]:
    """Return the entries of `large_files.*`; none where there is no such file."""
    found = [path for path in bundle.glob("large_files.*") if path.suffix in (".yml", ".yaml", ".json")]
    content = yaml.safe_load(found[0].read_text()) if found else {}  # JSON is YAML too
    entries: list[dict[str, Any]] = (content or {}).get("large_files", [])
    return entries


def large_file_faults(bundle: Path, entry: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an entry of `large_files`: where it lies, whence it comes, and its checksum."""
    path, kind, checksum = str(entry.get("path", "")), entry.get("hash_type", ""), str(entry.get("hash_val", ""))
    target = (bundle / path).resolve()
    if not path or not target.is_relative_to(bundle.resolve()):
        yield f"path {path!r} is not inside the bundle"
        return
    if not str(entry.get("url", "")).startswith(("http://", "https://")):
        yield f"{path} has no url"
    if unknown := sorted(entry.keys() - ENTRY):
        yield f"{path} has {', '.join(unknown)}, where only {', '.join(sorted(ENTRY))} have a meaning"
    if kind not in DIGITS or not re.fullmatch(rf"[0-9a-f]{{{DIGITS[kind]}}}", checksum):
        yield f"{path} needs hash_type ({', '.join(DIGITS)}) and its hash_val"
    elif target.is_file() and hashlib.new(kind, target.read_bytes()).hexdigest() != checksum:
        yield f"{path} is there, but its {kind} is not {checksum}"
