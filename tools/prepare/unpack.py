"""Unpack a release's archive beside itself."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path

from scripts.errors import InputError, brief_message


def unpack(archive: Path) -> Path:
    """Unpack a .tar, .tar.gz or .zip into a folder of its name; one that is there already is kept.

    Args:
        archive: a file that lies in the download folder.

    Returns:
        The folder.

    Raises:
        InputError: the archive is damaged, a member would lie outside of the folder, or Python cannot tell.
    """
    folder = archive.with_name(archive.name.split(".")[0])
    if folder.is_dir():
        return folder
    if not hasattr(tarfile, "data_filter"):
        raise InputError(
            f"{archive} is not unpacked, since this Python does not keep archives in their folder: use 3.11.4 or "
            f"newer, or unpack it yourself into {folder} and run again"
        )
    part = archive.with_name(f".unpacking-{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    print(f"unpacking {archive}", flush=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                zipped.extractall(part)  # drops "..", drives and leading slashes by itself
        else:
            with tarfile.open(archive) as tarred:
                tarred.extractall(part, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(
            f"{archive} cannot be unpacked ({brief_message(error)}): remove it and download it again"
        ) from error
    part.rename(folder)
    return folder
