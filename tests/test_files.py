import csv
import errno
import json
import os
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from scripts.errors import InputError
from scripts.files import (
    absolute,
    claimed,
    first_free,
    one_at_a_time,
    read_json,
    read_json_or_none,
    release,
    save_bytes,
    save_csv,
    save_json,
    save_nifti,
    save_tensors,
    save_text,
    write_atomically,
)


def test_what_was_written_is_what_is_read(tmp_path):
    tensors = {"model": {"a": torch.arange(3.0)}, "epoch": 2}
    save_tensors(tensors, tmp_path / "new/folder/a.pt")
    read = torch.load(tmp_path / "new/folder/a.pt", weights_only=True)
    assert read["epoch"] == 2 and torch.equal(read["model"]["a"], tensors["model"]["a"])
    save_json({"mean": [1, None]}, tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") == read_json_or_none(tmp_path / "a.json") == {"mean": [1, None]}
    assert (tmp_path / "a.json").read_text() == json.dumps({"mean": [1, None]}, indent=4) + "\n"
    save_text("ä\n", tmp_path / "a.txt")
    save_bytes("ä\n".encode(), tmp_path / "b.txt")
    assert (tmp_path / "a.txt").read_bytes() == (tmp_path / "b.txt").read_bytes() == b"\xc3\xa4\n"
    rows = [{"case": 'odd, "name"\nof ä', "dsc": "0.5"}, {"case": "b", "dsc": "1.0"}]
    save_csv(rows, tmp_path / "a.csv")
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == rows
    save_csv([], tmp_path / "empty.csv", ["case", "dsc"])
    assert (tmp_path / "empty.csv").read_text() == "case,dsc\n"
    volume, affine = np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.diag([1.0, 2, 3, 1])
    save_nifti(volume, affine, tmp_path / "a.nii.gz")
    image = nib.load(tmp_path / "a.nii.gz")
    assert np.array_equal(image.dataobj, volume) and np.array_equal(image.affine, affine)
    assert image.get_data_dtype() == np.uint8 and image.shape == (2, 3, 4)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyError("defect"), KeyboardInterrupt()]
)
def test_a_failed_writing_leaves_the_former_file_alone(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("former")

    def write(name):
        with open(name, "w") as file:
            file.write("half of it")
        raise error

    with pytest.raises(InputError if isinstance(error, OSError) else type(error)):
        write_atomically(path, write)
    assert path.read_text() == "former" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_former_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    save_text("former", path)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="No space"):
        save_text("new", path)
    assert path.read_text() == "former" and list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_json_and_one_that_is_not_there(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match=r"a\.json is not valid JSON .*: correct it"):
        read_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b.json")
    assert read_json_or_none(tmp_path / "b.json") is None


def test_the_first_free_name_counts_on(tmp_path):
    for number in (1, 2):
        path = first_free(tmp_path / "run-", ".json")
        assert path == tmp_path / f"run-{number}.json"
        path.write_text("")
    assert first_free(f"{tmp_path}/run-") == tmp_path / "run-1"


def test_a_path_is_absolute_and_links_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "link").symlink_to("other")
    assert absolute("link/../a") == tmp_path / "a" and absolute(Path("link")) == tmp_path / "link"
    assert absolute("~/a") == absolute("~/a", "/data") == tmp_path / "home/a"
    assert absolute("a", "/data") == Path("/data/a") and absolute("/b", "/data") == Path("/b")


def test_a_failed_writing_names_file_cause_and_cure(tmp_path):
    def full(name):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("some writer's own words") from error

    with pytest.raises(InputError, match=r"a\.txt cannot be written \(No space left on device\): free some space"):
        write_atomically(tmp_path / "a.txt", full)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/a.txt cannot be written .*choose another folder"):
        write_atomically(tmp_path / "file" / "a.txt", full)


def test_a_lock_is_released_though_a_worker_has_inherited_it(tmp_path):
    handle = claimed(tmp_path)
    copy = os.dup(handle)  # as a fork makes them
    release(handle)
    again = claimed(tmp_path)
    assert again is not None
    os.close(copy)
    release(again)


def test_a_folder_that_a_training_holds_is_told_and_free_again_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    held = claimed(tmp_path)
    with (
        pytest.raises(InputError, match="is in use by another process, such as a training"),
        one_at_a_time(tmp_path),
    ):
        pytest.fail("entered")
    os.close(held)
    with one_at_a_time(tmp_path), pytest.raises(BlockingIOError):
        claimed(tmp_path)
    os.close(claimed(tmp_path))
