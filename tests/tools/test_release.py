from __future__ import annotations

import copy
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from monai.bundle import verify_metadata

from scripts.errors import InputError
from tools import release
from tools.zoo_check.metadata import SCHEMA

TENSOR = {
    "type": "image",
    "format": "magnitude",
    "modality": "MR",
    "num_channels": 1,
    "spatial_shape": ["8*n", 64, "*"],
    "dtype": "float32",
    "value_range": [],
    "is_patch_data": True,
    "channel_def": {"0": "T1"},
}
METADATA: dict[str, Any] = {
    "schema": "https://example.org/meta_schema.json",
    "version": "0.2.0",
    "changelog": {"0.2.0": "faster", "0.1.0": "first"},
    "monai_version": "1.6.1",
    "pytorch_version": "2.13.0",
    "numpy_version": "2.4.6",
    "required_packages_version": {"nibabel": "5.4.2"},
    "name": "Toy",
    "task": "segment boxes",
    "description": "Segments boxes.",
    "authors": "the authors",
    "copyright": "the authors",
    "network_data_format": {"inputs": {"image": TENSOR}, "outputs": {"pred": TENSOR | {"value_range": [0, 1]}}},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one bundle, taken as freshly rendered."""
    bundle = tmp_path / "bundles" / "toy"
    for path, content in {
        "card.json": "{}",
        "LICENSE": "Apache",
        "large_files.yml": "large_files: []",
        "notes.txt": "mine",
        "configs/metadata.json": json.dumps(METADATA),
        "configs/logging.conf": "",
        "docs/README.md": "# Toy",
        "docs/.README.md.swp": "",
        "models/model.pt": "weights",
        "models/model_final.pt": "weights",
        "models/training_state.pt": "weights",
        "eval/a.txt": "",
        "../scripts/__init__.py": "",
        "../scripts/networks/unet.py": "class UNet: ...",
        "../scripts/networks/__pycache__/unet.cpython-311.pyc": "",
    }.items():
        (bundle / path).parent.mkdir(parents=True, exist_ok=True)
        (bundle / path).write_text(content)
    (bundle / "scripts").symlink_to("../scripts")
    monkeypatch.setattr(release, "differences", lambda *_: {})
    monkeypatch.setattr(release, "write_catalogue", lambda *_: None)  # which whole cards are for, see test_download
    return tmp_path


def changed(**fields: Any) -> dict[str, Any]:
    return copy.deepcopy(METADATA) | fields


def with_tensor(**fields: Any) -> dict[str, Any]:
    return changed(network_data_format={"inputs": {"image": TENSOR | fields}, "outputs": {"pred": TENSOR}})


def without(field: str) -> dict[str, Any]:
    return {key: value for key, value in METADATA.items() if key != field}


def test_zip_holds_the_bundle_alone_and_scripts_as_real_files(project: Path) -> None:
    release.main(output_dir=str(project / "dist"), root=str(project))
    with zipfile.ZipFile(project / "dist" / "toy_v0.2.0.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "toy/LICENSE",
            "toy/card.json",
            "toy/configs/logging.conf",
            "toy/configs/metadata.json",
            "toy/docs/README.md",
            "toy/models/model.pt",
            "toy/scripts/__init__.py",
            "toy/scripts/networks/unet.py",
        ]
        assert archive.read("toy/scripts/networks/unet.py") == b"class UNet: ..."
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}  # plain files, no links


def test_zip_bytes_depend_on_content_alone(project: Path) -> None:
    first = release.pack("toy", project)
    for path in (project / "bundles").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o700)
    assert release.pack("toy", project) == first
    (project / "bundles" / "scripts" / "__init__.py").write_text("x = 1")
    assert release.pack("toy", project) != first


def test_checksums_are_of_the_written_files_and_keep_other_releases(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dist = project / "dist"
    dist.mkdir()
    former = {"old_v0.1.0": {"checksum": "cd", "source": ""}, "zebra_v1.0.0": {"checksum": "ab", "source": "there"}}
    (dist / "model_info.json").write_text(json.dumps(former))
    (dist / "old_v0.1.0.zip").write_bytes(b"old")
    (dist / "holidays.zip").write_bytes(b"no release")
    release.main("toy", output_dir=str(dist), root=str(project))
    archive = (dist / "toy_v0.2.0.zip").read_bytes()
    sha1 = hashlib.sha1(archive).hexdigest()
    assert json.loads((dist / "model_info.json").read_text()) == former | {
        "toy_v0.2.0": {"checksum": sha1, "source": ""}
    }
    assert (dist / "SHA256SUMS").read_text() == (
        f"{hashlib.sha256(b'old').hexdigest()}  old_v0.1.0.zip\n{hashlib.sha256(archive).hexdigest()}  toy_v0.2.0.zip\n"
    )
    assert "toy_v0.2.0.zip" in (printed := capsys.readouterr().out) and f"{sha1}  models/model.pt" in printed


def test_a_published_version_keeps_its_content_and_its_address(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"output_dir": str(project / "dist"), "root": str(project)}
    weights = project / "bundles" / "toy" / "models" / "model.pt"
    info = project / "dist" / "model_info.json"
    release.main(**options)
    weights.write_text("other weights")
    release.main(**options, url="https://example.org")
    assert "toy_v0.2.0.zip of other content, which was not published, is replaced" in capsys.readouterr().out
    published = info.read_text()
    release.main(**options)
    assert info.read_text() == published and "https://example.org/toy_v0.2.0.zip" in published
    assert "replaced" not in capsys.readouterr().out
    weights.write_text("weights of another training")
    before = (project / "dist" / "toy_v0.2.0.zip").read_bytes()
    with pytest.raises(InputError, match="toy_v0.2.0 was published as https://.* other content: give the card"):
        release.main(**options, url="https://example.org", large_files=True)
    assert (project / "dist" / "toy_v0.2.0.zip").read_bytes() == before and info.read_text() == published
    assert sorted(path.name for path in (project / "dist").iterdir()) == [
        "SHA256SUMS", "model_info.json", "toy_v0.2.0.zip"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (changed(changelog={"0.1.0": "first"}), "version 0.2.0 is not in its changelog"),
        (changed(version=2), "break the schema at version: 2 is not of type 'string'"),
        (without("task"), "break the schema at top level: 'task' is a required property"),
    ],
)
def test_unfit_metadata_are_refused_before_anything_is_written(
    project: Path, metadata: dict[str, Any], message: str
) -> None:
    (project / "bundles" / "toy" / "configs" / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(InputError, match=message) as told:
        release.main(output_dir=str(project / "dist"), root=str(project))
    assert "\n" not in str(told.value)
    assert not (project / "dist").exists()


def test_stale_bundles_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "differences", lambda *_: {"configs/train.json": "{}", "scripts": None})
    with pytest.raises(InputError, match="configs/train.json, scripts differ from the card: run `make render`"):
        release.main(output_dir=str(project / "dist"), root=str(project))
    assert not (project / "dist").exists()


@pytest.mark.parametrize(
    "metadata",
    [
        METADATA,
        changed(network_data_format={**METADATA["network_data_format"], "post_processed_outputs": {"x": TENSOR}}),
    ],
)
def test_monai_verifies_metadata_with_our_schema_offline(tmp_path: Path, metadata: dict[str, Any]) -> None:
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    before = SCHEMA.read_bytes()
    verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(SCHEMA))
    assert SCHEMA.read_bytes() == before


@pytest.mark.parametrize(
    "metadata",
    [
        *(without(field) for field in ("schema", "version", "changelog", "task", "authors", "network_data_format")),
        changed(version="0.2"),
        changed(changelog={}),
        changed(changelog={"first": "text"}),
        changed(changelog=["0.2.0"]),
        changed(monai_version=">=1.6.1"),
        changed(required_packages_version={"nibabel": ">=5"}),
        changed(task=" "),
        changed(changelogs={"0.2.0": "typo"}),
        changed(network_data_format={"inputs": {"image": TENSOR}}),
        changed(network_data_format={"inputs": {"image": TENSOR}, "outputs": {}}),
        with_tensor(channel_def={"zero": "T1"}),
        with_tensor(channel_def={"00": "T1"}),
        with_tensor(channel_def=["T1"]),
        with_tensor(num_channels="1"),
        with_tensor(num_channels=0),
        with_tensor(spatial_shape=[0, 8, 8]),
        with_tensor(spatial_shape=["any"]),
        with_tensor(value_range=[1]),
        with_tensor(is_patch_data="true"),
        with_tensor(dtype="float"),
        with_tensor(type="picture"),
        with_tensor(chanel_def={}),
    ],
)
def test_schema_rejects(metadata: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(metadata, schema)
