import multiprocessing
import pickle
import zipfile

import numpy as np
import pytest
import torch

from scripts.data.store import DamagedEntryError, is_intact, open_entry, read_box, read_whole, save_entry


@pytest.fixture
def item():
    rng = np.random.default_rng(0)
    return {
        "case": "one",
        "number": 0.1,
        "image": torch.from_numpy(rng.normal(size=(2, 70, 66, 40)).astype(np.float32)),
        "label": torch.from_numpy(rng.integers(0, 3, (1, 70, 66, 40)).astype(np.uint8)),
        "image_affine": torch.from_numpy(rng.normal(size=(4, 4))),
        "foreground": torch.from_numpy(rng.integers(0, 40, (2, 1000, 3)).astype(np.int32)),
        "nothing": torch.zeros(0, 3, dtype=torch.int32),
    }


@pytest.fixture
def entry(item, tmp_path):
    save_entry(item, tmp_path / "cache" / "entry.zip")
    return tmp_path / "cache" / "entry.zip"


def same(one, other):
    return one.dtype == other.dtype and torch.equal(one, other)


def test_an_entry_holds_what_was_saved(item, entry):
    opened = open_entry(entry)
    assert opened.keys() == item.keys() and opened["case"] == "one" and opened["number"] == 0.1
    for key in ("image", "label", "foreground"):
        assert not isinstance(opened[key], torch.Tensor) and same(read_whole(opened[key]), item[key])
    assert same(opened["image_affine"], item["image_affine"]) and same(opened["nothing"], item["nothing"])


@pytest.mark.parametrize("size", [(1, 1, 1), (64, 16, 40), (33, 66, 17), (70, 66, 40)])
def test_a_box_is_a_slice_of_the_whole(item, entry, size):
    opened, rng = open_entry(entry), np.random.default_rng(1)
    for _ in range(5):
        start = [int(rng.integers(n - k + 1)) for n, k in zip(item["image"].shape[1:], size, strict=True)]
        box = (slice(None), *(slice(s, s + k) for s, k in zip(start, size, strict=True)))
        for key in ("image", "label"):
            assert same(read_box(opened[key], start, size), item[key][box])
            assert same(read_box(item[key], start, size), item[key][box])


def test_outside_of_the_volume_a_box_is_zero(item, entry):
    padded = torch.zeros(2, 80, 80, 80)
    padded[:, 4:74, 10:76, 30:70] = item["image"]
    assert same(read_box(open_entry(entry)["image"], (-4, -10, -30), (80, 80, 80)), padded)
    assert same(read_box(item["image"], (-4, -10, -30), (80, 80, 80)), padded)


def test_a_box_needs_only_its_own_blocks(item, tmp_path):
    """Blocks elsewhere may be rubbish, so they are not read."""
    item["image"] = torch.randn(1, 192, 64, 64)
    path = tmp_path / "entry.zip"
    save_entry(item, path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("image")
    # the last of three chunks lies in the last third of the member
    begin = member.header_offset + int(0.75 * member.file_size)
    content[begin : begin + 100_000] = bytes(100_000)
    path.write_bytes(content)
    assert same(read_box(open_entry(path)["image"], (3, 4, 5), (60, 60, 59)), item["image"][:, 3:63, 4:64, 5:64])
    assert not is_intact(path)


def test_noise_free_background_takes_no_room(tmp_path):
    image = torch.zeros(1, 128, 128, 128)
    save_entry({"image": image}, tmp_path / "entry.zip")
    assert (tmp_path / "entry.zip").stat().st_size < 0.01 * image.nbytes


def test_a_file_cut_off_anywhere_is_damaged(entry):
    content = entry.read_bytes()
    assert is_intact(entry)
    for length in (0, 10, len(content) // 2, len(content) - 1):
        entry.write_bytes(content[:length])
        assert not is_intact(entry)
        with pytest.raises(DamagedEntryError, match="is damaged .* remove it"):
            open_entry(entry)


def test_every_changed_part_is_noticed(entry):
    content = entry.read_bytes()
    for position in np.random.default_rng(0).integers(0, len(content), 50):
        changed = bytearray(content)
        changed[position] ^= 255
        entry.write_bytes(changed)
        if is_intact(entry):  # what zip archives repeat or do not use, such as dates
            found = read_whole(open_entry(entry)["image"])
            entry.write_bytes(content)
            assert same(found, read_whole(open_entry(entry)["image"]))


def test_entries_are_read_without_unpickling(entry, monkeypatch):
    monkeypatch.setattr(pickle, "loads", lambda *_, **__: pytest.fail("unpickled"))
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    assert read_whole(open_entry(entry)["image"]).shape == (2, 70, 66, 40)


def write_often(path):
    for _ in range(20):
        save_entry({"image": torch.full((1, 32, 32, 32), 7.0)}, path)


def test_two_processes_write_one_entry_while_a_third_reads(tmp_path):
    path = tmp_path / "entry.zip"
    writers = [multiprocessing.get_context("fork").Process(target=write_often, args=(path,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert not path.exists() or read_whole(open_entry(path)["image"]).eq(7).all()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [left.name for left in tmp_path.iterdir()] == ["entry.zip"] and is_intact(path)
