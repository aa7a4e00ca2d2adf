"""A bundle as it is passes; a broken copy is red, and the fault is named."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scripts.errors import InputError
from scripts.files import save_tensors
from scripts.networks import ResEncUNet
from tools.project import ROOT
from tools.zoo_check.__main__ import check, main, report

NAME = "hippocampus_segmentation"
CHEAP = ("files", "metadata", "configs")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy with its own code, as unpacked from a zip."""
    ignored = shutil.ignore_patterns("models", "eval", "__pycache__")
    return Path(shutil.copytree(ROOT / "bundles" / NAME, tmp_path / NAME, ignore=ignored))


def edit(path: Path, change: Callable[[dict], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n")


def faults(bundle: Path) -> list[str]:
    return [text for texts in check(bundle, CHEAP).values() for text in texts]


def test_a_bundle_as_it_is_holds(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = "    note: the zoo's CI asks for models/model.pt, which is neither there nor in large_files.yml\n"
    assert report(bundle, CHEAP)
    assert capsys.readouterr().out == f"{NAME}: files ok, metadata ok, configs ok\n{missing}"
    (bundle / "large_files.yml").write_text(json.dumps({"large_files": [{"path": "models/model.pt"}]}))
    assert not report(bundle, CHEAP)
    assert missing not in capsys.readouterr().out


def test_missing_licence(bundle: Path) -> None:
    (bundle / "LICENSE").unlink()
    assert faults(bundle) == ["LICENSE is missing"]


def test_missing_changelog(bundle: Path) -> None:
    edit(bundle / "configs" / "metadata.json", lambda content: content.pop("changelog"))
    assert faults(bundle) == ["metadata break the schema at top level: 'changelog' is a required property"]


def test_version_without_a_line_in_the_changelog(bundle: Path) -> None:
    edit(bundle / "configs" / "metadata.json", lambda content: content.update(version="9.0.0"))
    assert faults(bundle) == ["version 9.0.0 is not in its changelog: add a line"]


def test_wrong_channel_count(bundle: Path) -> None:
    formats = "network_data_format"
    edit(
        bundle / "configs" / "metadata.json", lambda content: content[formats]["outputs"]["pred"].update(num_channels=4)
    )
    assert faults(bundle) == [
        "outputs pred has num_channels 4, but channel_def defines 0, 1, 2",
        "train.json's network has out_channels 3, the metadata state 4 for pred",
        "inference.json's network has out_channels 3, the metadata state 4 for pred",
    ]


def test_absolute_path(bundle: Path) -> None:
    edit(bundle / "configs" / "train.json", lambda content: content.update(dataset_dir="/home/me/data"))
    assert faults(bundle) == ["configs/train.json names a machine's path: /home/me/data"]


@pytest.mark.parametrize("found", ["/data/of/mine/model.pt", "C:\\mine\\model.pt"])
def test_absolute_path_in_the_plan_of_the_weights(bundle: Path, found: str) -> None:
    content = {"model": {"weight": torch.zeros(1)}, "plan": {"spacing": [1.0], "pretrained": found}}
    save_tensors(content, bundle / "models" / "model.pt")
    assert faults(bundle)[0].startswith(f"models/model.pt names a machine's path: {found}".replace("\\", "\\\\"))
    save_tensors(content | {"plan": {"normalization": "0/1", "pretrained": "model.pt"}}, bundle / "models" / "model.pt")
    assert not faults(bundle)


def test_reference_to_nothing_and_missing_id(bundle: Path) -> None:
    edit(bundle / "configs" / "inference.json", lambda content: content.update(network="$@netwrok_def.to(@device)"))
    edit(bundle / "configs" / "train.json", lambda content: content["validate"].pop("handlers"))
    assert {"inference.json: there is no id netwrok_def", "train.json has no validate#handlers"} <= set(faults(bundle))


def test_large_files(bundle: Path) -> None:
    (bundle / "models").mkdir()
    with (bundle / "models" / "model.pt").open("wb") as file:
        file.truncate(26 * 2**20)
    assert faults(bundle) == ["models/model.pt is larger than 25 MiB: list it in large_files.yml"]
    entry = {
        "path": "models/model.pt",
        "url": "https://example.org/model.pt",
        "hash_type": "sha256",
        "hash_val": "0" * 64,
    }
    listing = bundle / "large_files.yml"
    listing.write_text(json.dumps({"large_files": [entry]}))
    assert faults(bundle) == [f"large_files.yml: models/model.pt is there, but its sha256 is not {'0' * 64}"]
    listing.write_text(json.dumps({"large_files": [entry | {"hash_val": ""}, entry | {"path": "../model.pt"}]}))
    assert faults(bundle)[0].endswith("models/model.pt needs hash_type (md5, sha1, sha256, sha512) and its hash_val")
    assert faults(bundle)[1].endswith("path '../model.pt' is not inside the bundle")
    listing.write_text(json.dumps({"large_files": [{"path": "models/a.pt", "hash_type": "md5", "hash_val": "0" * 32}]}))
    assert faults(bundle)[1] == "large_files.yml: models/a.pt has no url"
    listing.write_text(json.dumps({"large_files": [entry | {"path": "models/a.pt", "sha256": "0"}]}))
    assert faults(bundle)[1].endswith(
        "models/a.pt has sha256, where only hash_type, hash_val, path, url have a meaning"
    )


def test_style_of_json_and_code(bundle: Path) -> None:
    (bundle / "card.json").write_text("{}\n{\n")
    (bundle / "scripts" / "geometry.py").write_text("import os\nx = 'a'\n")
    (bundle / "scripts" / "errors.py").write_text("x = 1")
    found = check(bundle, ("files", "code"))
    assert found["files"][0].startswith("card.json is not valid JSON")
    assert found["files"][1:] == ["scripts/errors.py has no final newline"]
    assert "geometry.py:1:8: F401" in found["code"][0] and "would be reformatted" in found["code"][1]


@pytest.mark.slow
def test_network_is_run_and_traced(bundle: Path) -> None:
    assert check(bundle, ("network",), preset="tiny") == {"network": []}
    save_tensors({"model": ResEncUNet(1, 3, (4, 8), (1, 1), (1, 2)).state_dict()}, bundle / "models" / "model.pt")
    (fault,) = check(bundle, ("network",), preset="tiny")["network"]  # weights of the preset
    assert fault.startswith("models/model.pt in the network of configs/inference.json: ") and "does not fit" in fault
    (bundle / "models" / "model.pt").unlink()
    formats = "network_data_format"
    edit(
        bundle / "configs" / "metadata.json", lambda content: content[formats]["inputs"]["image"].update(num_channels=2)
    )
    (fault,) = check(bundle, ("network",), preset="tiny")["network"]
    assert fault.startswith("verify_net_in_out: ") and "channels" in fault


def test_zips(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, evil, wrong = tmp_path / f"{NAME}_v0.1.0.zip", tmp_path / "evil.zip", tmp_path / f"{NAME}_v0.2.0.zip"
    with zipfile.ZipFile(good, "w") as archive:
        for path in sorted(bundle.rglob("*")):
            if path.is_file():
                archive.writestr(zipfile.ZipInfo(str(path.relative_to(tmp_path))), path.read_bytes())
    shutil.copy(good, wrong)
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr("../evil.txt", "harm")
    with pytest.raises(SystemExit, match=r"2 of 3 do not hold: .*evil.zip, .*_v0.2.0.zip"):
        main(str(good), str(evil), str(wrong), parts="metadata")
    out = capsys.readouterr().out
    assert f"{good.name}: zip ok, metadata ok\n" in out
    assert "evil.zip: zip RED\n    zip: member ../evil.txt would be unpacked outside\n" in out
    assert f"its name should be {NAME}_v0.1.0.zip" in out
    assert not (tmp_path.parent / "evil.txt").exists()


def test_damaged_zips_are_red_and_the_next_bundle_is_checked(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half, flipped = tmp_path / "half.zip", tmp_path / "flipped.zip"
    with zipfile.ZipFile(flipped, "w") as archive:
        archive.writestr(f"{NAME}/LICENSE", "Apache License")
    content = flipped.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    flipped.write_bytes(content.replace(b"Apache", b"Apbche"))
    with pytest.raises(SystemExit, match="2 of 3 do not hold"):
        main(str(half), str(flipped), str(bundle), parts="metadata")
    out = capsys.readouterr().out
    assert "half.zip: zip RED\n    zip: it is damaged (File is not a zip file)\n" in out
    assert f"flipped.zip: zip RED\n    zip: member {NAME}/LICENSE is damaged\n" in out
    assert f"{NAME}: metadata ok\n" in out


def test_what_is_no_bundle_is_told() -> None:
    with pytest.raises(InputError, match="nothing is no bundle: give a name out of acdc_segmentation"):
        main("nothing")
    with pytest.raises(InputError, match="parts names colour: allowed are files, metadata"):
        main(parts="colour")
