"""A release folder behind a web server: the catalogue, and what is downloaded from there or refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest
from monai.bundle import download

from scripts.errors import InputError
from tools.download import main as fetch
from tools.release import main as release

NAMES = ("hippocampus_segmentation", "spark3d_pretrain")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    with zipfile.ZipFile(folder / "holidays.zip", "w") as foreign:
        foreign.writestr("picture.png", "")
    release(*NAMES, output_dir=str(folder), url="https://example.org/bundles/")
    return folder


@pytest.fixture
def served(dist: Path, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A copy of the release folder, which tests may spoil, and its URL."""
    folder = Path(shutil.copytree(dist, tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_by_name_from_server_and_folder_and_by_url(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    name = NAMES[1]
    fetch(name, source=url, bundle_dir=str(tmp_path / "server"))
    fetch(name, source=str(folder), bundle_dir=str(tmp_path / "folder"), version="0.1.0")
    download(name=name, url=f"{url}/{name}_v0.1.0.zip", bundle_dir=str(tmp_path / "url"), progress=False)
    with zipfile.ZipFile(folder / f"{name}_v0.1.0.zip") as archive:
        expected = {entry.removeprefix(f"{name}/"): archive.read(entry) for entry in archive.namelist()}
    for place in ("server", "folder", "url"):
        assert files(tmp_path / place / name) == expected
    assert "scripts/networks/spark3d.py" in expected
    with pytest.raises(InputError, match="is there already"):
        fetch(name, source=url, bundle_dir=str(tmp_path / "server"))


def test_another_checksum_is_refused(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    with zipfile.ZipFile(folder / f"{NAMES[0]}_v0.1.0.zip", "a") as archive:
        archive.writestr(f"{NAMES[0]}/scripts/extra.py", "harm")
    with pytest.raises(InputError, match="is refused .*sha1 hash check .*nothing is kept"):
        fetch(NAMES[0], source=url, bundle_dir=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_zip_that_leaves_its_folder_is_refused(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    with zipfile.ZipFile(folder / "evil_bundle_v1.0.0.zip", "w") as archive:
        archive.writestr("evil_bundle/configs/metadata.json", "{}")
        archive.writestr("../../harm.txt", "harm")
    checksum = hashlib.sha1((folder / "evil_bundle_v1.0.0.zip").read_bytes()).hexdigest()
    (folder / "model_info.json").write_text(json.dumps({"evil_bundle_v1.0.0": {"checksum": checksum, "source": ""}}))
    with pytest.raises(InputError, match="is refused"):
        fetch("evil_bundle", source=url, bundle_dir=str(tmp_path / "out" / "deep"))
    with pytest.raises(ValueError, match="[Uu]nsafe|[Ii]nvalid|outside|traversal"):
        download(
            name="evil_bundle",
            url=f"{url}/evil_bundle_v1.0.0.zip",
            bundle_dir=str(tmp_path / "a" / "b"),
            progress=False,
        )
    assert list(tmp_path.rglob("harm.txt")) == []


def test_what_is_not_there_is_told(served: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no liver_segmentation .*there are hippocampus_segmentation_v0.1.0, spark3d"):
        fetch("liver_segmentation", source=served[1], bundle_dir=str(tmp_path / "out"))
    with pytest.raises(InputError, match="no spark3d_pretrain 7.0.0"):
        fetch("spark3d_pretrain", source=served[1], bundle_dir=str(tmp_path / "out"), version="7.0.0")
    with pytest.raises(InputError, match="no readable model_info.json"):
        fetch("spark3d_pretrain", source=served[1] + "/nowhere", bundle_dir=str(tmp_path / "out"))


def test_a_place_that_cannot_be_written_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/deep"):
        with pytest.raises(InputError, match="cannot be made: .*/file is no folder that you may write to"):
            fetch(NAMES[0], source="http://127.0.0.1:9/closed", bundle_dir=str(tmp_path / place))


def test_the_newest_version_is_the_largest_number(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    info = json.loads((folder / "model_info.json").read_text())
    info |= {f"{NAMES[1]}_v{version}": {"checksum": "0", "source": ""} for version in ("0.9.0", "0.10.0")}
    (folder / "model_info.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match="_v0.10.0.zip"):
        fetch(NAMES[1], source=url, bundle_dir=str(tmp_path / "out"))


def test_the_catalogue_names_every_release_with_its_checksum(served: tuple[Path, str]) -> None:
    folder, url = served
    with urlopen(f"{url}/index.html") as answer:
        page = answer.read().decode()
    assert "holidays" not in page
    for path in folder.glob("*_v*.zip"):
        assert f'<a href="{path.name}" download>' in page
        assert hashlib.sha256(path.read_bytes()).hexdigest() in page
    assert "Hippocampus segmentation" in page and "anterior, posterior" in page and "0.864 ± 0.032" in page
    assert page.count("data:image/jpeg;base64,") == 2 and 'src="http' not in page
    info = json.loads((folder / "model_info.json").read_text())
    assert info["spark3d_pretrain_v0.1.0"]["source"] == "https://example.org/bundles/spark3d_pretrain_v0.1.0.zip"


def test_the_temporary_folder_may_be_on_another_file_system(
    dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    monkeypatch.setattr(tempfile, "tempdir", str(memory))
    fetch(NAMES[0], source=str(dist), bundle_dir=str(tmp_path / "new" / "place"))
    assert (tmp_path / "new" / "place" / NAMES[0] / "configs" / "metadata.json").is_file()
    assert [path.name for path in (tmp_path / "new" / "place").iterdir()] == [NAMES[0]]
