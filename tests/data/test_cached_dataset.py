import shutil
import subprocess
import sys
import zipfile

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, NormalizeIntensityd

from scripts.data import CachedDataset, cached_dataset, code
from scripts.errors import InputError
from scripts.transforms import Resampled


@pytest.fixture
def scan(tmp_path):
    values = np.random.default_rng(0).normal(size=(8, 9, 10)).astype(np.float32)
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = (5, 6, 7)
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "scan.nii.gz")
    return {"case": "scan", "image": str(tmp_path / "scan.nii.gz"), "stamp": "1"}


def preprocessing(spacing=1.0):
    return Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            Resampled("image", (spacing,) * 3),
            NormalizeIntensityd("image"),
        ]
    )


def dataset(scan, folder, spacing=1.0):
    return CachedDataset([scan], preprocessing(spacing), cache_dir=str(folder))


def test_cached_item_equals_the_computed_one(scan, tmp_path):
    cached = dataset(scan, tmp_path / "cache")
    cached.prepare()
    expected = preprocessing()(dict(scan))["image"]
    item = cached[0]
    assert type(item["image"]) is torch.Tensor and torch.equal(item["image"], expected.as_tensor())
    assert torch.equal(item["image_affine"], expected.affine) and item["case"] == "scan"


def test_a_case_is_computed_once(scan, tmp_path, monkeypatch):
    """Also after other files were read, of which MONAI's readers keep traces."""
    other = tmp_path / "other.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((5, 6, 7), np.int16), np.diag([1.0, 2.0, 3.0, 1.0])), other)
    cached = CachedDataset(
        [scan, {"case": "other", "image": str(other)}], preprocessing(), cache_dir=str(tmp_path / "c")
    )
    cached.prepare()
    first = [cached[0]["image"], cached[1]["image"]]
    assert len(list((tmp_path / "c").iterdir())) == 2
    monkeypatch.setattr(CachedDataset, "_compute", lambda *_: pytest.fail("computed again"))
    cached.prepare()
    assert all(torch.equal(cached[index]["image"], first[index]) for index in (1, 0))
    assert torch.equal(dataset(scan, tmp_path / "c")[0]["image"], first[0])


def test_other_settings_and_other_files_are_other_entries(scan, tmp_path):
    files = {
        dataset(scan, tmp_path)._cache_file(0),
        dataset(scan, tmp_path, spacing=2.0)._cache_file(0),
        dataset({**scan, "stamp": "2"}, tmp_path)._cache_file(0),
    }
    assert len(files) == 3


@pytest.mark.parametrize("changed", ["transforms/resample.py", "data/scan_reader.py", "geometry.py"])
def test_other_code_is_another_entry(scan, tmp_path, monkeypatch, changed):
    before = dataset(scan, tmp_path)._cache_file(0)
    for folder in ("data", "transforms"):
        shutil.copytree(code.FOLDER.parent / folder, tmp_path / "scripts" / folder)
    shutil.copy(code.FOLDER.parent / "geometry.py", tmp_path / "scripts")
    monkeypatch.setattr(code, "FOLDER", tmp_path / "scripts" / "data")
    assert dataset(scan, tmp_path)._cache_file(0) == before
    with open(tmp_path / "scripts" / changed, "a") as file:
        file.write("# mended\n")
    assert dataset(scan, tmp_path)._cache_file(0) != before


def test_a_file_replaced_under_its_name_is_another_entry(scan, tmp_path):
    del scan["stamp"]
    before = dataset(scan, tmp_path)._cache_file(0)
    assert dataset(scan, tmp_path)._cache_file(0) == before
    nib.save(nib.Nifti1Image(np.ones((5, 6, 7), np.int16), np.eye(4)), scan["image"])
    assert dataset(scan, tmp_path)._cache_file(0) != before


def test_entries_are_found_again_by_another_process(scan, tmp_path):
    """The name must not depend on the process, as sets and hashes do."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import tests.data.test_cached_dataset as t\n"
        f"print(t.dataset({scan!r}, {str(tmp_path)!r})._cache_file(0))"
    )
    names = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.splitlines()[-1]
        for seed in ("1", "2")
    }
    assert names == {str(dataset(scan, tmp_path)._cache_file(0))}


def test_processes_fill_the_cache_together(scan, tmp_path, monkeypatch):
    scans, filled = [{**scan, "case": f"scan{n}"} for n in range(5)], []
    for rank in (1, 0):
        monkeypatch.setattr(cached_dataset, "rank_and_size", lambda rank=rank: (rank, 2))
        monkeypatch.setattr(torch.distributed, "barrier", lambda: None)
        cached = CachedDataset(scans, preprocessing(), cache_dir=str(tmp_path / "cache"))
        cached.prepare()
        filled.append([n for n in range(5) if cached._cache_file(n).exists()])
    assert filled == [[1, 3], [0, 1, 2, 3, 4]]


def test_a_case_that_cannot_be_preprocessed_is_named(scan, tmp_path):
    nib.save(nib.Nifti1Image(np.ones((0, 5, 6), np.int16), np.eye(4)), scan["image"])
    with pytest.raises(InputError, match=r"case scan cannot be preprocessed \(RuntimeError: .*\): correct its files"):
        dataset(scan, tmp_path / "cache").prepare()


def test_a_case_is_not_blamed_for_memory_that_ran_out(scan, monkeypatch):
    monkeypatch.setattr(Resampled, "__call__", lambda *_: np.empty((2**20, 2**20, 2**10)))
    with pytest.raises(InputError, match=r"case scan cannot be preprocessed \(memory ran out: [^:]*\)$"):
        CachedDataset([scan], preprocessing()).preprocessed(0)


def test_an_interrupted_writing_leaves_no_entry(scan, tmp_path, monkeypatch):
    def interrupted(archive, *_):
        archive.fp.write(b"half")
        raise KeyboardInterrupt

    cached = dataset(scan, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "writestr", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cached.prepare()
    assert list((tmp_path / "cache").iterdir()) == []
    assert cached[0]["image"].shape == (1, 15, 9, 10)


def test_a_killed_process_leaves_what_others_pass_over(scan, tmp_path):
    """Its half file stays under a name that no entry has, and the case is computed anew."""
    cached = dataset(scan, tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f".writing-x{cached._cache_file(0).name}").write_bytes(b"half")
    cached.prepare()
    assert cached._cache_file(0).exists() and cached[0]["image"].shape == (1, 15, 9, 10)


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("damage", [lambda content: content[:-100], lambda content: b"", lambda content: b"x" * 5000])
def test_a_damaged_entry_is_said_and_computed_again(scan, tmp_path, caplog, damage, prepared):
    cached = dataset(scan, tmp_path / "cache")
    expected, file = cached[0]["image"], cached._cache_file(0)
    content = file.read_bytes()
    file.write_bytes(damage(content))
    with caplog.at_level("INFO"):
        if prepared:
            cached.prepare()
        assert torch.equal(cached[0]["image"], expected)
    assert file.read_bytes() == content
    assert ("preprocessing 1 of 1" if prepared else f"{file} is damaged") in caplog.text


def test_checksums_are_compared_when_the_cache_is_prepared(scan, tmp_path):
    """A changed voxel may be decompressed without complaint."""
    cached = dataset(scan, tmp_path / "cache")
    cached.prepare()
    content = cached._cache_file(0).read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    cached._cache_file(0).write_bytes(changed)
    cached.prepare()
    assert cached._cache_file(0).read_bytes() == content


def test_no_cases_are_warned_of(tmp_path, caplog):
    cached = CachedDataset([], preprocessing(), cache_dir=str(tmp_path))
    cached.prepare()
    assert len(cached) == 0 and "no cases are given to validate or predict" in caplog.text
