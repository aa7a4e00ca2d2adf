"""Fetch files of a public release over https: resumed where they broke off, checked, moved into place when whole."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import new as new_digest
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from scripts.errors import InputError

ZENODO = re.compile(r"https://zenodo\.org/records/(\d+)/files/([^/?]+)")
BLOCK = 1 << 20
ATTEMPTS = 5
TIMEOUT_SECONDS = 60.0
HEADERS = {"User-Agent": "mae-bundles"}  # some servers refuse urllib's own

Opener = Callable[[urllib.request.Request], Any]


@dataclass(frozen=True)
class Download:
    """A file of a release that needs no login.

    Attributes:
        url: over https.
        name: of the file once it is here.
        size: in bytes, where known.
        md5: checksum, if that is the one its source publishes.
        sha256: checksum, if that is.
    """

    url: str
    name: str
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None


class OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows no redirection that leaves https."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request to follow, or raise an `InputError`."""
        if not newurl.startswith("https://"):
            raise InputError(f"{req.full_url} redirects to {newurl}, which is not https: nothing is fetched from there")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_https(request: urllib.request.Request) -> Any:
    """Open a request over https and nothing else.

    Raises:
        InputError: the address, or one that it redirects to, is no https address.
    """
    if request.type != "https":
        raise InputError(f"{request.full_url} is not https: nothing is fetched from there")
    return urllib.request.build_opener(OnlyHttps).open(request, timeout=TIMEOUT_SECONDS)


def fetch(download: Download, folder: Path, open_url: Opener = open_https, pause_seconds: float = 3.0) -> Path:
    """Bring one file into a folder; what a broken connection or a stop left as `.part` is gone on with.

    Args:
        download: what to fetch. A checksum that is not stated is asked of Zenodo, if the file lies there.
        folder: is made where missing.
        open_url: opens a request.
        pause_seconds: between attempts.

    Returns:
        The file. One that is there already is taken as it is, since only a checked one gets its name.

    Raises:
        InputError: it cannot be reached, or what came is not what the source publishes.
    """
    path = folder / download.name
    if path.is_file():
        print(f"{path} is there already")
        return path
    part = folder / f"{download.name}.part"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            download = _with_published_checksum(download, open_url)
            folder.mkdir(parents=True, exist_ok=True)
            _continue(download, part, open_url)
            break
        except urllib.error.HTTPError as error:
            raise InputError(
                f"{download.url} answers {error.code} {error.reason}: see its page, or try later"
            ) from error
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            if attempt == ATTEMPTS:
                raise InputError(
                    f"{download.url} cannot be fetched ({error}): run again, what has come is kept in {part}"
                ) from error
            time.sleep(pause_seconds)
    _check(download, part)
    part.rename(path)
    return path


def _with_published_checksum(download: Download, open_url: Opener) -> Download:
    """Add size and MD5 that Zenodo publishes of a file, unless a checksum is stated."""
    match = ZENODO.fullmatch(download.url)
    if match is None or download.md5 or download.sha256:
        return download
    with open_url(urllib.request.Request(f"https://zenodo.org/api/records/{match[1]}", headers=HEADERS)) as answer:
        files = {entry["key"]: entry for entry in json.load(answer)["files"]}
    if match[2] not in files:
        raise InputError(f"Zenodo's record {match[1]} has no file {match[2]}, only {', '.join(sorted(files))}")
    entry = files[match[2]]
    return replace(download, size=entry["size"], md5=entry["checksum"].removeprefix("md5:"))


def _continue(download: Download, part: Path, open_url: Opener) -> None:
    """Fetch the rest of a file."""
    have = part.stat().st_size if part.exists() else 0
    if download.size is not None and have == download.size:
        return
    request = urllib.request.Request(download.url, headers=HEADERS | ({"Range": f"bytes={have}-"} if have else {}))
    try:
        answer = open_url(request)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return
        part.unlink()
        raise ConnectionError(f"{have} bytes were there, more than is asked for") from error
    with answer:
        if answer.status != 206:  # the server sends all of it again
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else download.size
        with (
            open(part, "ab" if have else "wb") as file,
            tqdm(total=total, initial=have, desc=download.name, unit="B", unit_scale=True, disable=None) as progress,
        ):
            while block := answer.read(BLOCK):
                file.write(block)
                progress.update(len(block))
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(f"{part.stat().st_size} of {total} bytes came")


def _check(download: Download, part: Path) -> None:
    """Compare a file with what its source publishes; a wrong one is removed."""
    size, stated = part.stat().st_size, download.sha256 or download.md5
    if stated is None:
        print(f"{download.name}: no checksum is published, its {size} bytes are taken as they came")
        return
    total = new_digest("sha256" if download.sha256 else "md5", usedforsecurity=False)
    with open(part, "rb") as file:
        while block := file.read(BLOCK):
            total.update(block)
    if total.hexdigest() != stated:
        part.unlink()
        raise InputError(f"{download.name} came with the checksum {total.hexdigest()}, not {stated}: download it again")
