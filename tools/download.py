"""Fetch a bundle by its name from where releases lie: `python -m tools.download <name> --source <URL or folder>`."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from monai.apps import download_url, extractall

from scripts.errors import InputError, brief_message

from .cli import cli


def main(name: str, source: str, bundle_dir: str = ".", version: str | None = None) -> None:
    """Download, compare with the checksum of `model_info.json`, which MONAI's download does not, and unpack.

    Args:
        name: of the bundle.
        source: URL or folder of what `tools.release` wrote.
        bundle_dir: folder to unpack into.
        version: the newest one when not given.

    Raises:
        InputError: if there is no such bundle, the checksum differs, the zip would write outside its folder, or the
            folder cannot be written to.
    """
    base = Path(source).resolve().as_uri() if Path(source).is_dir() else source.rstrip("/")
    target = Path(bundle_dir) / name
    if target.exists():
        raise InputError(f"{target} is there already: remove it, or give another --bundle_dir")
    check_place(target)
    release, checksum = chosen(releases_of(base), name, version)
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / f"{release}.zip"
        try:
            download_url(f"{base}/{archive.name}", archive, hash_val=checksum, hash_type="sha1", progress=False)
            extractall(archive, folder, has_base=True)
        except Exception as error:  # MONAI, zipfile and the network have many
            raise InputError(
                f"{release}.zip of {source} is refused ({brief_message(error)}): nothing is kept"
            ) from error
        if not (Path(folder) / name / "configs" / "metadata.json").is_file():
            raise InputError(f"{release}.zip of {source} holds no bundle {name}: nothing is kept")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as beside:  # the other one may be on another file system
            shutil.move(Path(folder) / name, beside)
            (Path(beside) / name).rename(target)
    print(f"{target}: {release}, SHA-1 {checksum}")


def check_place(target: Path) -> None:
    """Refuse what is to become a folder where none can be made, before anything is fetched."""
    there = next(parent for parent in target.parents if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(
            f"{target} cannot be made: {there} is no folder that you may write to; give another --bundle_dir"
        )


def releases_of(base: str) -> dict[str, dict[str, str]]:
    """Return the content of `model_info.json` at a URL."""
    try:
        with urlopen(f"{base}/model_info.json") as answer:
            content: dict[str, dict[str, str]] = json.load(answer)
    except (URLError, ValueError) as error:
        raise InputError(f"{base} has no readable model_info.json ({error}): give where releases lie") from error
    return content


def chosen(releases: dict[str, dict[str, str]], name: str, version: str | None) -> tuple[str, str]:
    """Return the release `<name>_v<version>`, by default the newest, and its SHA-1."""
    versions = [release.rpartition("_v")[2] for release in releases if release.rpartition("_v")[0] == name]
    if not versions or version is not None and version not in versions:
        raise InputError(f"no {name} {version or ''} there; there are {', '.join(sorted(releases)) or 'none'}")
    release = f"{name}_v{version or max(versions, key=lambda v: [int(n) for n in v.split('.')])}"
    return release, releases[release]["checksum"]


if __name__ == "__main__":
    cli(main)
