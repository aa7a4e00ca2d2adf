"""Pack bundles as reproducible, self-contained zips: `python -m tools.release [names] [--output_dir dist]`."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

from scripts.errors import InputError
from scripts.files import save_bytes, save_json, save_text

from .catalogue import write_catalogue
from .cli import cli
from .large_files import WEIGHTS, check_weights, list_weights
from .project import ROOT, bundle_names
from .render.stale import differences
from .zoo_check.metadata import metadata_faults

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold
CONTENT = ("LICENSE", "card.json", "configs", "docs", "scripts", "splits", *WEIGHTS)


def check(name: str, root: Path = ROOT) -> str:
    """Make sure a bundle is fit for release.

    Args:
        name: folder of the bundle below `bundles`.
        root: project folder.

    Returns:
        The bundle's version.

    Raises:
        InputError: if a rendered file is stale, the metadata break the schema or the changelog lacks the version.
    """
    stale = differences(name, root)
    if stale:
        raise InputError(f"bundle {name}: {', '.join(stale)} differ from the card: run `make render`, then release")
    metadata = json.loads((root / "bundles" / name / "configs" / "metadata.json").read_text())
    return checked_version(name, metadata)


def checked_version(name: str, metadata: dict[str, Any]) -> str:
    """Make sure that metadata keep to the schema and return the version.

    Args:
        name: of the bundle.
        metadata: content of its metadata.json.

    Returns:
        The bundle's version.

    Raises:
        InputError: if they break the schema, or the changelog lacks the version.
    """
    for fault in metadata_faults(metadata):
        raise InputError(f"bundle {name}: {fault}; correct the card")
    version: str = metadata["version"]
    return version


def pack(name: str, root: Path = ROOT) -> bytes:
    """Zip a bundle; equal files give equal bytes.

    Args:
        name: folder of the bundle below `bundles`.
        root: project folder.

    Returns:
        The zip's bytes: one top folder with flat configs, docs, card, a real copy of `scripts`, and weights if present.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in content(root / "bundles" / name):
            entry = zipfile.ZipInfo(f"{name}/{path.as_posix()}", EPOCH)
            entry.create_system = 3  # Unix, on every system, so that the permissions below count
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (root / "bundles" / name / path).read_bytes())
    return buffer.getvalue()


def content(bundle: Path) -> list[Path]:
    """List the files of a bundle that are released.

    Args:
        bundle: the bundle's folder.

    Returns:
        Sorted paths relative to the folder, without caches and hidden files.
    """
    found: list[Path] = []
    for part in CONTENT:
        start = bundle / part
        found += [start] if start.is_file() else start.rglob("*")
    relative = (path.relative_to(bundle) for path in found if path.is_file() and path.suffix != ".pyc")
    return sorted(path for path in relative if not any(part.startswith(".") for part in path.parts))


def main(
    *names: str, output_dir: str = "dist", url: str = "", large_files: bool = False, root: str = str(ROOT)
) -> None:
    """Release bundles: zips, `model_info.json` (SHA-1, as the MONAI model zoo has it), `SHA256SUMS` and `index.html`.

    Args:
        names: bundles to release; all when none is named.
        output_dir: folder for the zips; what was released into it before stays, other zips are passed over.
        url: where the folder will be served, for `model_info.json` and `large_files.yml`.
        large_files: put the weights beside the zips as well, and list them in the bundles' `large_files.yml`.
        root: project folder.

    Raises:
        InputError: if a bundle is not fit for release, or its version was published with other content.
    """
    if large_files and not url:
        raise InputError("large_files.yml says where the weights are served: give --url")
    project, output = Path(root), Path(output_dir)
    releases = {f"{name}_v{check(name, project)}": name for name in names or bundle_names(project)}
    info_file = output / "model_info.json"
    info = json.loads(info_file.read_text()) if info_file.is_file() else {}
    for release, name in releases.items():
        if not large_files:
            check_weights(project / "bundles" / name)
        known = info.get(release, {})
        if known.get("source") and known["checksum"] != hashlib.sha1(pack(name, project)).hexdigest():
            raise InputError(
                f"{release} was published as {known['source']} with other content: give the card another version, with "
                "a line in its changelog"
            )
    for release, name in releases.items() if large_files else ():
        list_weights(project / "bundles" / name, release, output, url)
    for release, name in releases.items():
        archive = pack(name, project)
        checksum = hashlib.sha1(archive).hexdigest()
        known = info.get(release, {"checksum": checksum, "source": ""})
        source = f"{url.rstrip('/')}/{release}.zip" if url else known["source"]
        if known["checksum"] != checksum:
            print(f"{release}.zip of other content, which was not published, is replaced")
        save_bytes(archive, output / f"{release}.zip")
        info[release] = {"checksum": checksum, "source": source}
        weights = [weight for weight in WEIGHTS if (project / "bundles" / name / weight).is_file()]
        print(f"{release}.zip  {len(archive) / 1e6:.2f} MB  SHA-1 {checksum}  {' and '.join(weights) or 'no weights'}")
    save_json(dict(sorted(info.items())), info_file)
    archives = [path for release in sorted(info) if (path := output / f"{release}.zip").is_file()]
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in archives)
    save_text("".join(sums), output / "SHA256SUMS")
    write_catalogue(archives, output)


if __name__ == "__main__":
    cli(main)
