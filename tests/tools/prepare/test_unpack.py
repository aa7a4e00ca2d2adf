from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import pytest

from scripts.errors import InputError
from tools.prepare.unpack import unpack


def tar(path, names):
    with tarfile.open(path, "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"scan"))
    return path


def test_unpacks_once(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("deep/scan.nii", "scan")
    for path in (tmp_path / "a.zip", tar(tmp_path / "b.tar", ["deep/scan.nii"])):
        folder = unpack(path)
        assert (folder / "deep" / "scan.nii").read_bytes() == b"scan"
        (folder / "deep" / "scan.nii").write_bytes(b"kept")
        assert (unpack(path) / "deep" / "scan.nii").read_bytes() == b"kept"


def test_a_damaged_archive_is_told_in_one_line(tmp_path):
    content = bytearray(gzip.compress(tar(tmp_path / "e.tar", [f"scan{n}" for n in range(40)]).read_bytes()))
    content[len(content) // 2] ^= 0xFF
    for name, damaged in (("e.tar.gz", bytes(content)), ("f.tar.gz", b"no archive at all")):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(InputError, match="cannot be unpacked .*: remove it and download it again$") as told:
            unpack(tmp_path / name)
        assert "\n" not in str(told.value)


def test_nothing_is_written_outside_and_nothing_half(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(tar(tmp_path / "in" / "c.tar", ["good", "../evil"]))
    assert not (tmp_path / "evil").exists() and not (tmp_path / "in" / "c").exists()
    broken = tar(tmp_path / "in" / "d.tar", ["good"])
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(broken)
    assert not (tmp_path / "in" / "d").exists()


def test_a_python_that_keeps_no_member_in_its_folder_unpacks_nothing(tmp_path, monkeypatch):
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(InputError, match=f"use 3.11.4 or newer, or unpack it yourself into {tmp_path / 'c'} and run"):
        unpack(tar(tmp_path / "c.tar", ["good"]))
    (tmp_path / "c").mkdir()
    assert unpack(tmp_path / "c.tar") == tmp_path / "c"
