"""Files that are either as before or complete, also when the disk fills up or the process is killed."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import itertools
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

from .errors import InputError, chain


def write_atomically(path: str | Path, write: Callable[[str], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in its place.

    Args:
        path: the file to be; its folder is made where it is missing.
        write: is given the temporary file's name, which ends like `path`.

    Raises:
        InputError: if the disk is full, or the folder is not one that can be written to.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # the name starts with a dot and ends as writers expect, which go by the suffix
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=path.name)
        os.close(handle)
        try:
            write(temporary)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except Exception as error:
        # writers wrap what the system said into errors of their own
        cause = next((link for link in chain(error) if isinstance(link, OSError)), None)
        if cause is None:
            raise
        raise InputError(
            f"{path} cannot be written ({cause.strerror or cause}): free some space or choose another folder, then run "
            "again"
        ) from error


def check_free(path: str | Path) -> None:
    """Refuse to write over a file.

    Raises:
        InputError: if it exists.
    """
    if Path(path).exists():
        raise InputError(f"{path} exists: remove it or write to another file")


def first_free(start: str | Path, end: str = "") -> Path:
    """Return the first of `<start>1<end>`, `<start>2<end>`, ... that does not exist."""
    paths = (Path(f"{start}{number}{end}") for number in itertools.count(1))
    return next(path for path in paths if not path.exists())


def keep_former(folder: Path, names: Sequence[str]) -> None:
    """Move files of an earlier run into `former_<n>/`, so that new ones of their names do not replace them.

    Args:
        folder: where they are.
        names: of the files.
    """
    former = [folder / name for name in names if (folder / name).exists()]
    if former:
        target = first_free(folder / "former_")
        target.mkdir()
        for path in former:
            os.replace(path, target / path.name)
        logging.getLogger(__name__).info("%d files of an earlier run are kept in %s", len(former), target)


def absolute(path: str | Path, base: str | Path = "") -> Path:
    """Return a path as an absolute one, not following links, so that cases are named as the user sees them.

    Args:
        path: may start with `~`, for the home folder.
        base: folder from which a relative path starts; the current one where it is not given.
    """
    return Path(os.path.abspath(base / Path(path).expanduser()))


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let processes that come here with the same folder, which is made where it is missing, wait for each other.

    Raises:
        InputError: if one holds it for a minute, as a training does, see `claimed`.
    """
    for _ in range(600):
        with contextlib.suppress(BlockingIOError):
            handle = claimed(folder)
            break
        time.sleep(0.1)
    else:
        raise InputError(f"{folder} is in use by another process, such as a training: give another output_dir")
    try:
        yield
    finally:
        if handle is not None:
            release(handle)


def claimed(folder: Path) -> int | None:
    """Lock a folder, which is made where it is missing, until the handle that is returned is given to `release`.

    Returns:
        The handle; None where that cannot be: some network file systems have no locks, and that a folder cannot be made
        is told by who writes into it.

    Raises:
        BlockingIOError: if another process holds it.
    """
    handle = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if handle is not None:
            os.close(handle)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return handle


def release(handle: int) -> None:
    """Unlock what `claimed` locked; closing alone does not while a worker process has inherited the handle."""
    fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


def save_tensors(content: dict[str, Any], path: str | Path) -> None:
    """Save what `torch.load(weights_only=True)` can read again."""

    def write(name: str) -> None:
        # through Python's file, since torch's own does not tell why it failed
        with open(name, "wb") as file:
            torch.save(content, file)

    write_atomically(path, write)


def save_nifti(volume: np.ndarray, affine: np.ndarray, path: str | Path) -> None:
    """Save a volume (D, H, W) or (D, H, W, C) by its RAS affine in mm."""
    write_atomically(path, lambda name: nib.save(nib.Nifti1Image(volume, affine), name))


def read_json(path: Path) -> Any:
    """Return the content of a JSON file that a user may have written.

    Raises:
        InputError: the file does not hold JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}): correct it") from error


def read_json_or_none(path: Path) -> Any:
    """Return the content of a JSON file that a program here wrote, None where it is not there (yet)."""
    return json.loads(path.read_text()) if path.exists() else None


def to_json(content: Any) -> str:
    """Return indented JSON as MONAI's `ConfigParser.export_config_file(indent=4)` writes it, with a final newline."""
    return json.dumps(content, indent=4) + "\n"


def save_json(content: Any, path: str | Path) -> None:
    """Save as indented JSON."""
    save_text(to_json(content), path)


def save_text(text: str, path: str | Path) -> None:
    """Save text as UTF-8, whatever the machine's own encoding."""
    save_bytes(text.encode(), path)


def save_bytes(content: bytes, path: str | Path) -> None:
    """Save bytes as they are."""
    write_atomically(path, lambda name: Path(name).write_bytes(content))


def save_csv(rows: Sequence[dict[str, Any]], path: str | Path, columns: Sequence[str] | None = None) -> None:
    """Save rows of equal keys as CSV with a header; `columns` says which, where there may be no row to tell."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    # file names of other encodings are written back as they were
    save_bytes(text.getvalue().encode(errors="surrogateescape"), path)
