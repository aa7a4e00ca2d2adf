from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from scripts.errors import InputError
from tests.releases.brain_mets import GAP, volumes
from tools.prepare.slice_stack import read_stack


def test_slices_are_in_the_order_of_their_numbers_on_the_published_grid(converted):
    taken, refused = converted("brain_mets")
    assert sorted(taken) == [f"Mets_{n:03d}" for n in range(1, 9)]
    for number in (1, 8):
        images, mask = volumes(number)
        _, prepared = taken[f"Mets_{number:03d}"]
        assert len(prepared.images) == 4
        for image, truth in zip(prepared.images, images, strict=True):
            assert np.array_equal(image.dataobj, truth)
            assert np.allclose(image.affine, prepared.label.affine)
        assert np.array_equal(prepared.label.dataobj, mask) and mask.max() == 1
        assert np.allclose(np.abs(np.diag(prepared.label.affine)), [0.94, 0.94, 1, 1])
        middle = prepared.label.affine @ [*((np.array(mask.shape) - 1) / 2), 1]
        assert np.allclose(middle, [0, 0, 0, 1])
    assert refused == {
        "Mets_500": "it has no seg",
        f"Mets_{GAP}": "2 lacks the slices 11: unpack the release again",
    }


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "P"])
def test_pictures_of_any_mode(tmp_path, mode):
    levels = np.arange(60).reshape(5, 12)
    for index in range(11):
        array = (levels + index).astype(np.uint16 if mode == "I;16" else np.uint8)
        picture = Image.fromarray(array)
        (picture if mode == "I;16" else picture.convert(mode)).save(tmp_path / f"{index}.png")
    stack = read_stack(tmp_path)
    assert stack.shape == (12, 5, 11)
    assert stack[7, 3, 10] == 3 * 12 + 7 + 10 and stack[11, 0, 2] == 11 + 2


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: Image.new("L", (3, 3)).save(folder / "02.png"), "by its number alone"),
        (lambda folder: Image.new("L", (3, 3)).save(folder / "overview.png"), "by its number alone"),
        (lambda folder: Image.new("L", (3, 4)).save(folder / "5.png"), "different sizes"),
        (lambda folder: (folder / "3.png").write_bytes(b"no picture"), "3.png cannot be read"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "no picture"),
    ],
)
def test_spoiled_folders_are_refused_in_one_line(tmp_path, spoil, reason):
    for index in range(5):
        Image.new("L", (3, 3), index).save(tmp_path / f"{index}.png")
    spoil(tmp_path)
    with pytest.raises(InputError, match=reason):
        read_stack(tmp_path)
