from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scripts.data import labelled_cases, split_cases
from scripts.errors import InputError
from tools.prepare import __main__ as command
from tools.prepare import prepare as module
from tools.prepare.cards import bundle_of, dataset_names
from tools.prepare.prepare import prepare
from tools.prepare.raw_layout import divide, remove_case
from tools.prepare.record import digest
from tools.project import ROOT


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*.nii.gz"))}


def account(target):
    with open(target / "account.csv", newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


@pytest.fixture
def source(release, tmp_path):
    return Path(shutil.copytree(release("hippocampus"), tmp_path / "download"))


@pytest.fixture
def target(tmp_path):
    return tmp_path / "prepared"


def test_the_bundle_reads_what_was_prepared(source, target, card):
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    prepare("hippocampus", source, target)
    assert before == {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    dataset = card("hippocampus_segmentation")["dataset"]
    cases = labelled_cases(target, dataset["labels"], dataset["channel_names"])
    assert [case["case"] for case in cases] == [f"hippocampus_{n:03d}" for n in range(1, 9)]
    parts = split_cases(cases, split=str(target / "split.json"), num_folds=2)
    drawn = split_cases(cases, num_folds=2)
    assert parts == drawn and len(parts["test"]) == 2
    content = json.loads((target / "dataset.json").read_text())
    assert content["numTraining"] == 8 and content["licence"] == dataset["licence"]
    for case in cases:
        original = next(source.rglob(f"labelsTr/{case['case']}.nii.gz"))
        assert np.array_equal(nib.load(case["label"]).dataobj, nib.load(original).dataobj)
        assert np.allclose(nib.load(case["label"]).affine, nib.load(original).affine)
    assert account(target)["hippocampus_002"]["notes"] == "without posterior"
    record = json.loads((target / "provenance.json").read_text())
    assert record["cases"]["hippocampus_001"]["files"]["imagestr"]["path"].endswith("imagesTr/hippocampus_001.nii.gz")


def test_goes_on_after_an_interruption_and_redoes_only_what_changed(source, target, monkeypatch):
    def stop_at_third(*arguments):
        if len(list((target / "labelsTr").glob("*"))) == 2:
            raise KeyboardInterrupt
        write(*arguments)

    write = module.write_case
    monkeypatch.setattr(module, "write_case", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        prepare("hippocampus", source, target)
    assert not (target / "dataset.json").exists()
    first = stamps(target)
    monkeypatch.undo()
    half = target / "imagesTr" / "hippocampus_003_0000.nii.gz"  # of a case that was killed on the way
    half.write_bytes(b"half")
    prepare("hippocampus", source, target)
    assert nib.load(half).shape
    second = stamps(target)
    assert len(first) == 4 and len(second) == 16 and first.items() <= second.items()

    changed = next(source.rglob("labelsTr/hippocampus_003.nii.gz"))
    image = nib.load(changed)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[::-1].copy(), image.affine), changed)
    next(source.rglob("labelsTr/hippocampus_004.nii.gz")).unlink()
    prepare("hippocampus", source, target)
    third = stamps(target)
    assert {path.name for path in second.keys() - third.keys()} == {
        "hippocampus_004_0000.nii.gz",
        "hippocampus_004.nii.gz",
    }
    assert {path.name for path in third if third[path] != second[path]} == {
        "hippocampus_003_0000.nii.gz",
        "hippocampus_003.nii.gz",
    }
    assert account(target)["hippocampus_004"] == {
        "case": "hippocampus_004",
        "verdict": "refused",
        "notes": "it has no labelstr",
    }


def test_prepared_cases_are_not_removed_for_a_source_without_them(source, target):
    prepare("hippocampus", source, target)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    for number in range(1, 8):
        for path in source.rglob(f"hippocampus_{number:03d}.nii.gz"):
            path.unlink()
    message = r"7 prepared cases that .* \(hippocampus_001, .*, hippocampus_005 and 2 more\): .* or another --target"
    with pytest.raises(InputError, match=message):
        prepare("hippocampus", source, target)
    assert before == {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    for number in range(1, 8):  # as the message says
        (target / "labelsTr" / f"hippocampus_{number:03d}.nii.gz").unlink()
        (target / "imagesTr" / f"hippocampus_{number:03d}_0000.nii.gz").unlink()
    prepare("hippocampus", source, target)
    assert set(account(target)) == {"hippocampus_008"} and len(stamps(target)) == 2


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda image: image.to_bytes()[:4000], "cannot be read"),
        (lambda image: nib.Nifti1Image(np.asarray(image.dataobj)[1:], image.affine), "has (28, 26, 24) voxels"),
        (lambda image: nib.Nifti1Image(np.asarray(image.dataobj) * 3, image.affine), "the values [3, 6]"),
        (lambda image: nib.Nifti1Image(image.dataobj, image.affine + 0.5 * np.eye(4, k=3)), "0.50 mm beside"),
        (lambda image: nib.Nifti1Image(np.asarray(image.dataobj) * 0.5, image.affine), "the values [0.5]"),
    ],
)
def test_refuses_a_spoiled_case_by_name_and_takes_the_others(source, target, spoil, reason, capsys):
    path = next(source.rglob("labelsTr/hippocampus_005.nii.gz"))
    spoiled = spoil(nib.load(path))
    path.write_bytes(spoiled) if isinstance(spoiled, bytes) else nib.save(spoiled, path)
    prepare("hippocampus", source, target)
    row = account(target)["hippocampus_005"]
    assert row["verdict"] == "refused" and reason in row["notes"]
    assert "hippocampus_005: " + row["notes"] in capsys.readouterr().out
    assert json.loads((target / "dataset.json").read_text())["numTraining"] == 7
    assert not list(target.rglob("*hippocampus_005*"))


def test_only_the_case_itself_is_removed(target):
    """Also where its name, read as a pattern, means another."""
    for folder in ("imagesTr", "labelsTr"):
        (target / folder).mkdir(parents=True)
        for name in ("scan[1]", "scan1"):
            (target / folder / f"{name}{'_0000' if folder == 'imagesTr' else ''}.nii.gz").touch()
    remove_case("scan[1]", target)
    assert [path.name for path in sorted(target.rglob("*.gz"))] == ["scan1_0000.nii.gz", "scan1.nii.gz"]


def test_a_folder_of_names_in_another_encoding_has_a_digest(tmp_path):
    (tmp_path / os.fsdecode(b"M\xfcller.dcm")).write_bytes(b"1")
    assert len(digest(tmp_path)) == 64


def test_refuses_what_cannot_be_meant(source, target, tmp_path):
    with pytest.raises(InputError, match="lies in the source"):
        prepare("hippocampus", source, source / "prepared")
    with pytest.raises(InputError, match="is not a folder"):
        prepare("hippocampus", tmp_path / "nowhere", target)
    with pytest.raises(InputError, match="not known: give one of .*hippocampus"):
        prepare("hipocampus", source, target)
    with pytest.raises(InputError, match="expected is MSD Task04: `imagesTr/hippocampus_001.nii.gz`"):
        prepare("hippocampus", next(source.rglob("imagesTs")), target)
    with pytest.raises(InputError, match="option fast is not known"):
        prepare("hippocampus", source, target, fast=True)
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "Task04.tar").write_bytes(b"tar")
    with pytest.raises(InputError, match="unpack Task04.tar first"):
        prepare("hippocampus", tmp_path / "packed", target)
    target.mkdir()
    (target / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not prepared here"):
        prepare("hippocampus", source, target)
    assert (target / "thesis.txt").read_text() == "mine"


def test_no_case_left_is_an_error(source, target):
    for path in source.rglob("labelsTr/h*.nii.gz"):
        path.write_bytes(b"broken")
    with pytest.raises(InputError, match="no case could be taken"):
        prepare("hippocampus", source, target)
    assert {row["verdict"] for row in account(target).values()} == {"refused"}


def test_lists_every_dataset_and_asks_for_folders(capsys):
    command.run()
    listed = capsys.readouterr().out
    assert all(f"{dataset}: " in listed for dataset in dataset_names())
    with pytest.raises(InputError, match="--source"):
        command.run("hippocampus")


def test_downloads_unpacks_and_prepares_in_one_command(source, target, tmp_path, monkeypatch):
    archive = Path(shutil.make_archive(str(tmp_path / "Task04_Hippocampus"), "tar", source))
    wanted = []

    def fetch(download, folder):
        wanted.append(download.url)
        folder.mkdir()
        return Path(shutil.copy(archive, folder / download.name))

    monkeypatch.setattr(command, "fetch", fetch)
    command.run("hippocampus", str(tmp_path / "fetched"), str(target), download=True)
    assert wanted == ["https://msd-for-monai.s3-us-west-2.amazonaws.com/Task04_Hippocampus.tar"]
    assert len(account(target)) == 8
    with pytest.raises(InputError, match="cannot be downloaded without you"):
        command.run("btcv", str(tmp_path / "fetched"), str(target), download=True)


@pytest.mark.parametrize("dataset", dataset_names())
def test_every_release_fits_its_bundle(dataset, release, tmp_path, card):
    try:
        bundle = bundle_of(dataset)
    except InputError:
        pytest.skip("its bundle does not exist yet")
    prepare(dataset, release(dataset), tmp_path / "prepared")
    section = card(bundle)["dataset"]
    cases = labelled_cases(
        tmp_path / "prepared", section["labels"], section["channel_names"], regions=section.get("regions")
    )
    assert len(cases) >= 5


@pytest.mark.parametrize("dataset", [name for name in dataset_names() if bundle_of(name).endswith("_segmentation")])
def test_the_stated_split_is_the_one_that_the_bundle_draws(dataset, converted):
    groups = {name: case.group for name, (case, _) in converted(dataset)[0].items()}
    config = json.loads((ROOT / "bundles" / bundle_of(dataset) / "configs" / "train.json").read_text())
    cases = [{"case": name} for name in groups]
    drawn = split_cases(cases, num_folds=2, seed=0, patient_pattern=config["patient_pattern"])
    assert [case["case"] for case in drawn["test"]] == divide(groups)["test"]
    for part, other in itertools.combinations(("train", "val", "test"), 2):
        assert not {groups[c["case"]] for c in drawn[part]} & {groups[c["case"]] for c in drawn[other]}
