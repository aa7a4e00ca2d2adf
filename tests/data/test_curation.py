"""Every rule drops what it must and names the measured value; verdicts stand while files and thresholds do."""

import csv
import io
import logging
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts.data import code, curation, verdicts
from scripts.data.curation import curate
from scripts.data.reading import read_scan, stamp
from scripts.data.scans import find_scans
from scripts.errors import InputError


def _curate(root, **thresholds):
    scans = find_scans(root / "scans", mixed_dicom=True)
    return curate(scans, root / "out" / "account.csv", **{"min_file_kb": 0, **thresholds})


def _account(root):
    with open(root / "out" / "account.csv", newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


@pytest.fixture
def scans(tmp_path, volume, write_nifti):
    """Return a function that writes a scan 60 mm wide that passes, or one that differs as told."""

    def write(name, data=None, spacing=(10 / 3, 6, 6), affine=None):
        data = volume(18, 10, 10) if data is None else data
        return write_nifti(tmp_path / "scans" / f"{name}.nii.gz", data, spacing, affine)

    write("good")
    return write


@pytest.fixture
def reads(monkeypatch):
    """Return the list of images read by the curation, as it grows."""
    read: list[str] = []
    original = curation.read_scan
    monkeypatch.setattr(curation, "read_scan", lambda image: read.append(Path(image).stem) or original(image))
    return read


def _spoilt(data, value):
    data = data.astype(np.float32)
    data[3, 3, 3] = value
    return data


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: {"data": data[:, :, :8]}, "field of view: 48.0 mm is under 50 mm"),
        (lambda data: {"spacing": (10 / 3, 6, 6.6)}, "spacing: 6.60 mm is over 6.5 mm"),
        (lambda data: {"data": _spoilt(data, np.nan)}, "not finite: 1 voxels are NaN or infinite"),
        (lambda data: {"data": _spoilt(data, -np.inf)}, "not finite: 1 voxels are NaN or infinite"),
        (lambda data: {"data": np.full_like(data, 7)}, "constant: every voxel is [7.0]"),
        (lambda data: {"data": np.stack([data, data], -1)}, "number of channels: 2 instead of 1"),
        (lambda data: {"data": data[0]}, "not 3D: the array has the shape 10 x 10, 1 times"),
    ],
)
def test_rules(tmp_path, volume, scans, change, reason):
    scans("bad", **change(volume(18, 10, 10)))
    assert [scan["case"] for scan in _curate(tmp_path)] == ["good"]
    rows = _account(tmp_path)
    assert (rows["bad"]["verdict"], rows["bad"]["reason"]) == ("dropped", reason)
    assert (rows["good"]["verdict"], rows["good"]["reason"]) == ("kept", "")


def test_oblique_axes_are_measured_along_the_voxel_axes(tmp_path, scans):
    turn = np.array([[0.6, -0.8, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    scans("good", affine=turn @ np.diag([10 / 3, 6, 6, 1]))
    assert [scan["case"] for scan in _curate(tmp_path, min_fov_mm=59.9, max_spacing_mm=6.01)] == ["good"]


def test_small_files(tmp_path, scans, write_dicom, volume):
    series = write_dicom(tmp_path / "scans" / "series", volume(30, 60, 60))
    total = sum(os.path.getsize(file) for file in Path(series).iterdir()) / 1000
    assert [scan["case"] for scan in _curate(tmp_path, min_file_kb=total)] == ["series"]
    size = os.path.getsize(tmp_path / "scans" / "good.nii.gz") / 1000
    assert _account(tmp_path)["good"]["reason"] == f"small file: {size:.1f} kB is under {total:g} kB"


def test_unreadable(tmp_path, scans, write_dicom):
    file = Path(scans("truncated"))
    file.write_bytes(file.read_bytes()[:500])
    (tmp_path / "scans" / "dangling.nii").symlink_to(tmp_path / "nowhere.nii")
    for name in ("a{}.dcm", "b{}.dcm"):
        write_dicom(tmp_path / "scans" / "mixed", name=name)
    assert [scan["case"] for scan in _curate(tmp_path)] == ["good"]
    reasons = {case: row["reason"] for case, row in _account(tmp_path).items()}
    assert reasons["truncated"].startswith(f"unreadable: {file} cannot be read")
    assert reasons["mixed"].startswith(f"unreadable: {tmp_path}/scans/mixed holds 2 DICOM series")
    assert reasons["dangling"].startswith("unreadable: ")


def test_what_could_not_be_read_is_tried_again(tmp_path, scans, monkeypatch):
    scans("rare")

    def without_decoder(image):
        if "rare" in image:
            raise InputError(f"{image} cannot be read: install a decoder")
        return read_scan(image)

    with monkeypatch.context() as patched:
        patched.setattr(curation, "read_scan", without_decoder)
        assert [scan["case"] for scan in _curate(tmp_path)] == ["good"]
        assert _account(tmp_path)["rare"]["stamp"] == ""
    assert [scan["case"] for scan in _curate(tmp_path)] == ["good", "rare"]


def test_channel_files_are_one_scan(tmp_path, scans):
    image = [scans("one"), scans("two")]
    kept = curate([{"case": "x", "image": image}], tmp_path / "a.csv", min_file_kb=0, num_channels=2)
    assert kept[0]["image"] == image


def test_result_carries_stamps_and_everything_given(tmp_path, scans):
    scan = {"case": "good", "image": str(tmp_path / "scans" / "good.nii.gz"), "modality": "T1"}
    kept = curate([scan], tmp_path / "account.csv", min_file_kb=0)
    assert kept == [{**scan, "stamp": stamp([scan["image"]])}]


def test_summary_is_logged(tmp_path, scans, volume, caplog):
    for name in ("flat1", "flat2"):
        scans(name, np.ones((18, 10, 10)))
    scans("short", volume(18, 10, 5))
    with caplog.at_level(logging.INFO):
        _curate(tmp_path)
    assert "1 of 4 scans kept; dropped: 2 constant, 1 field of view; account in" in caplog.text


def test_nothing_left(tmp_path, scans):
    with pytest.raises(InputError, match=r"dropped all 1 scans, most often for 'field of view': see .*account.csv"):
        _curate(tmp_path, min_fov_mm=100)
    assert _account(tmp_path)["good"]["verdict"] == "dropped"


def test_second_start_reads_nothing(tmp_path, scans, reads):
    scans("flat", np.ones((18, 10, 10)))
    first = _curate(tmp_path)
    assert reads == ["flat.nii", "good.nii"]
    assert _curate(tmp_path) == first
    assert len(reads) == 2


def test_changed_files_and_new_ones_are_read_again(tmp_path, scans, reads):
    scans("other")
    _curate(tmp_path)
    reads.clear()
    scans("other", np.ones((18, 10, 10)))
    scans("third")
    assert [scan["case"] for scan in _curate(tmp_path)] == ["good", "third"]
    assert reads == ["other.nii", "third.nii"]


def test_other_thresholds_judge_anew(tmp_path, scans, reads):
    scans("short", spacing=(10 / 3, 6, 5.5))
    assert len(_curate(tmp_path)) == 2
    assert len(_curate(tmp_path, min_fov_mm=56)) == 1
    assert len(reads) == 4


def test_other_code_judges_anew(tmp_path, scans, reads, monkeypatch):
    _curate(tmp_path)
    monkeypatch.setattr(code, "READING", (*code.READING, "cases.py"))
    _curate(tmp_path)
    assert len(reads) == 2


def test_vanished_scans_leave_the_account(tmp_path, scans):
    other = scans("other")
    assert len(_curate(tmp_path)) == 2
    os.remove(other)
    _curate(tmp_path)
    assert list(_account(tmp_path)) == ["good"]


def test_interruption_keeps_what_was_judged(tmp_path, scans, monkeypatch):
    for name in ("h1", "h2", "h3"):
        scans(name)
    original = curation.read_scan

    def interrupted(image):
        if "h2" in image:
            raise KeyboardInterrupt
        return original(image)

    monkeypatch.setattr(curation, "read_scan", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _curate(tmp_path)
    assert list(_account(tmp_path)) == ["good", "h1"]
    read = []
    monkeypatch.setattr(curation, "read_scan", lambda image: read.append(Path(image).stem) or original(image))
    assert len(_curate(tmp_path)) == 4
    assert read == ["h2.nii", "h3.nii"]


def test_a_killed_run_keeps_the_last_interval(tmp_path, scans, monkeypatch):
    for name in ("h1", "h2"):
        scans(name)
    monkeypatch.setattr(verdicts, "SECONDS_BETWEEN_WRITES", -1.0)
    seen = []
    original = curation.read_scan

    def spy(image):
        seen.append(len(_account(tmp_path)) if (tmp_path / "out" / "account.csv").exists() else 0)
        return original(image)

    monkeypatch.setattr(curation, "read_scan", spy)
    _curate(tmp_path)
    assert seen == [0, 1, 2]


def test_a_full_disk_leaves_the_former_account(tmp_path, scans, monkeypatch):
    _curate(tmp_path)
    before = (tmp_path / "out" / "account.csv").read_bytes()
    scans("other")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(verdicts.csv.DictWriter, "writerows", full)
        _curate(tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["account.csv"]
    assert (tmp_path / "out" / "account.csv").read_bytes() == before


def test_a_damaged_account_is_made_anew(tmp_path, scans, reads):
    _curate(tmp_path)
    text = (tmp_path / "out" / "account.csv").read_text()
    (tmp_path / "out" / "account.csv").write_text(text[: text.index(",kept")])
    _curate(tmp_path)
    assert reads == ["good.nii", "good.nii"]
    assert (tmp_path / "out" / "account.csv").read_text() == text


def test_only_rank_0_writes(tmp_path, scans, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    kept = _curate(tmp_path)
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("RANK", "0")
    assert _curate(tmp_path) == kept
    assert list(_account(tmp_path)) == ["good"]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_only(tmp_path, scans, monkeypatch, terminal):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    _curate(tmp_path)
    assert ("checking scans" in stream.getvalue()) == terminal


def test_real_brains_pass(real_data, tmp_path):
    scans = find_scans(real_data / "brain_t1")[9:11]  # one of each of both studies
    assert len(curate(scans, tmp_path / "account.csv")) == 2
    with pytest.raises(InputError, match="field of view"):
        curate(scans, tmp_path / "account.csv", min_fov_mm=192.1)
    rows = list(csv.DictReader((tmp_path / "account.csv").open()))
    assert [row["reason"].split(" mm")[0] for row in rows] == ["field of view: 160.0", "field of view: 181.0"]
