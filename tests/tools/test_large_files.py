"""Weights out of the repository: listed by a release, fetched by MONAI, checked by the zoo's rules."""

from __future__ import annotations

import hashlib
import shutil
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from monai.apps.utils import HashCheckError
from monai.bundle import download_large_files

from scripts.errors import InputError
from tools import release
from tools.project import ROOT
from tools.zoo_check.__main__ import check

NAME = "hippocampus_segmentation"
WEIGHTS = bytes(range(256)) * 200_000  # beyond what the zoo lets one commit


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one trained bundle, taken as freshly rendered."""
    bundle = tmp_path / "bundles" / NAME
    shutil.copytree(ROOT / "bundles" / NAME, bundle, ignore=shutil.ignore_patterns("models", "eval", "__pycache__"))
    (bundle / "models").mkdir()
    (bundle / "models" / "model.pt").write_bytes(WEIGHTS)
    monkeypatch.setattr(release, "differences", lambda *_: {})
    monkeypatch.setattr(release, "write_catalogue", lambda *_: None)
    return tmp_path


@pytest.fixture
def served(project: Path) -> Iterator[str]:
    """The URL of the project's `dist`."""
    (project / "dist").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=project / "dist")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run(project: Path, **options: object) -> None:
    release.main(NAME, output_dir=str(project / "dist"), root=str(project), **options)


def test_listed_weights_are_fetched_by_monai_and_belong_into_the_zip(project: Path, served: str) -> None:
    bundle, dist = project / "bundles" / NAME, project / "dist"
    assert check(bundle, ("files",))["files"] == ["models/model.pt is larger than 25 MiB: list it in large_files.yml"]
    run(project, url=served + "/", large_files=True)
    assert yaml.safe_load((bundle / "large_files.yml").read_text()) == {
        "large_files": [
            {
                "path": "models/model.pt",
                "url": f"{served}/{NAME}_v0.1.0_model.pt",
                "hash_val": hashlib.sha256(WEIGHTS).hexdigest(),
                "hash_type": "sha256",
            }
        ]
    }
    assert check(bundle, ("files",))["files"] == []

    shutil.rmtree(bundle / "models")  # as the folder is committed
    assert check(bundle, ("files",))["files"] == []
    with pytest.raises(
        InputError, match="model.pt is listed in large_files.yml, but not here: fetch it by python -m mo"
    ):
        run(project)
    download_large_files(str(bundle))
    assert (bundle / "models" / "model.pt").read_bytes() == WEIGHTS
    run(project)
    with zipfile.ZipFile(dist / f"{NAME}_v0.1.0.zip") as archive:
        assert archive.read(f"{NAME}/models/model.pt") == WEIGHTS
        assert f"{NAME}/large_files.yml" not in archive.namelist()


def test_other_weights_are_refused_on_the_way_and_before_a_release(project: Path, served: str) -> None:
    bundle, weights = project / "bundles" / NAME, project / "bundles" / NAME / "models" / "model.pt"
    run(project, url=served, large_files=True)
    weights.write_bytes(b"another training")
    with pytest.raises(InputError, match="is there, but its sha256 is not .* write it anew with --large_files True"):
        run(project)
    weights.unlink()
    (project / "dist" / f"{NAME}_v0.1.0_model.pt").write_bytes(b"harm")
    with pytest.raises(HashCheckError, match="sha256 hash check of downloaded file failed"):
        download_large_files(str(bundle))
    assert not weights.exists()


def test_a_list_needs_an_address_and_weights(project: Path) -> None:
    with pytest.raises(InputError, match="give --url"):
        run(project, large_files=True)
    shutil.rmtree(project / "bundles" / NAME / "models")
    with pytest.raises(InputError, match="has no models/model.pt or models/model.ts to list: train it first"):
        run(project, large_files=True, url="https://example.org")
    assert not (project / "dist").exists()
