from __future__ import annotations

import numpy as np
import pytest

from scripts.errors import InputError
from tests.releases.cosmos_vessel_wall import (
    ANNOTATED,
    EMPTY_SIDE,
    GAP,
    LONE,
    LUMEN,
    ONE_SIDE,
    ORIGIN,
    ROTATION,
    SIZE,
    SPACING,
    SWAPPED,
    TEST,
    WALL,
    centre,
    volume,
)
from tools.prepare.cascade import read_vessel

IMAGE = "<a><QVAS_Image><QVAS_Contour><Contour_Point>{}</Contour_Point></QVAS_Contour></QVAS_Image></a>"
NAMED = "<QVAS_Loaded_Series_List><QVASSeriesFileName>s.QVS</QVASSeriesFileName></QVAS_Loaded_Series_List>"


def in_series(label):
    """Where a cropped image lies in its series, and the series' affine, by DICOM's formula, in RAS."""
    lps = np.eye(4)
    lps[:3, :3] = ROTATION @ np.diag(SPACING)
    lps[:3, 3] = ORIGIN
    ras = np.diag([-1, -1, 1, 1]) @ lps
    start = np.linalg.inv(ras) @ label.affine
    assert np.allclose(start[:3, :3], np.eye(3), atol=1e-4)
    assert np.allclose(start[:3, 3], np.round(start[:3, 3]), atol=1e-3)
    return tuple(slice(int(a), int(a) + n) for a, n in zip(np.round(start[:3, 3]), label.shape, strict=True))


def truth(side):
    """The vessel by its formula on every slice."""
    label = np.zeros(SIZE, np.uint8)
    pixels = np.stack(np.meshgrid(*map(np.arange, SIZE[:2]), indexing="ij"), -1)
    for index in range(SIZE[2]):
        far = np.linalg.norm(pixels - centre(side, index), axis=-1)
        label[:, :, index] = np.where(far <= LUMEN, 2, np.where(far <= WALL, 1, 0))
    return label


def test_sides_with_contours_are_cases_of_one_patient(converted):
    taken, refused = converted("cosmos_vessel_wall")
    sides = {f"cosmos_{n:03d}_{side}" for n in range(1, 9) for side in "LR"}
    assert set(taken) == sides - {f"cosmos_{ONE_SIDE:03d}_R", f"cosmos_{EMPTY_SIDE:03d}_R"}
    assert taken["cosmos_001_L"][0].group == taken["cosmos_001_R"][0].group == "cosmos_001"
    assert refused.pop(f"train_data/{TEST}") == "it has no contours (.QVJ)"
    assert refused.pop(f"cosmos_{EMPTY_SIDE:03d}_R") == f"{EMPTY_SIDE}R.QVJ has no slice with both lumen and outer wall"
    assert "do not belong together" in refused.pop(f"cosmos_{SWAPPED:03d}_L")
    assert not refused


@pytest.mark.parametrize(("number", "side"), [(1, "L"), (1, "R"), (ONE_SIDE, "L"), (LONE, "R"), (GAP, "L")])
def test_label_and_place_are_those_of_the_formulas(number, side, converted):
    _, prepared = converted("cosmos_vessel_wall")[0][f"cosmos_{number:03d}_{side}"]
    label, (image,) = np.asarray(prepared.label.dataobj), prepared.images
    place = in_series(prepared.label)
    assert np.array_equal(np.asarray(image.dataobj), volume(number)[place])
    assert np.allclose(image.affine, prepared.label.affine)
    first, last = (20, 25) if number == GAP else (ANNOTATED[0], ANNOTATED[-1])
    assert place[1:] == (slice(0, SIZE[1]), slice(first, last + 1))
    expected = truth(side)[place]
    for value in (1, 2):
        assert (expected == value).sum() == (truth(side)[:, :, first : last + 1] == value).sum()  # nothing cut off
        both = ((label == value) & (expected == value)).sum()
        assert 2 * both / ((label == value).sum() + (expected == value).sum()) > 0.97
    areas = [(label > 0).sum() / label.shape[2], (label == 2).sum() / label.shape[2]]
    assert areas == pytest.approx([np.pi * WALL**2, np.pi * LUMEN**2], rel=0.06)


def test_a_side_is_cropped_to_its_half_without_the_other_vessel(converted):
    taken, _ = converted("cosmos_vessel_wall")
    for name, (_, prepared) in taken.items():
        columns, _, slices = in_series(prepared.label)
        other = np.argwhere(truth("R" if name.endswith("L") else "L")[:, :, slices])[:, 0]
        assert not ((other >= columns.start) & (other < columns.stop)).any()
        assert columns.stop == SIZE[0] if name.endswith("L") else columns.start == 0


def test_what_is_left_out_is_noted(converted):
    taken, _ = converted("cosmos_vessel_wall")
    notes = {number: "; ".join(taken[f"cosmos_{number:03d}_L"][1].notes) for number in range(1, 9)}
    assert "7 of 16 slices annotated" in notes[1] and "half way to the other side's vessel" in notes[1]
    assert "(the other side has no contours)" in notes[ONE_SIDE] and "(the other side has no" in notes[EMPTY_SIDE]
    assert "slices left out that have one contour only: 1" in notes[LONE] and "6 of 16 slices annotated" in notes[LONE]
    assert "3 of 6 slices annotated" in notes[GAP] and "3 beyond gaps of more than 10 mm left out" in notes[GAP]


@pytest.mark.parametrize(
    ("project", "series", "reason"),
    [
        ("<a/>", "", "names no file of contours"),
        ("<a", "", "1L.QVJ cannot be read"),
        (None, None, "s.QVS is missing"),
        (None, "<a", "s.QVS cannot be read"),
        (None, IMAGE.format("<Point x='1'/>"), "no pair of numbers"),
    ],
)
def test_spoiled_contour_files_are_one_line(tmp_path, project, series, reason):
    (tmp_path / "1L.QVJ").write_text(project or f"<a>{NAMED}</a>")
    if series:
        (tmp_path / "s.QVS").write_text(series)
    with pytest.raises(InputError, match=reason) as error:
        read_vessel(tmp_path / "1L.QVJ")
    assert "\n" not in str(error.value)


def test_contours_of_a_namespace_and_too_few_points(tmp_path):
    point = "<Point x='1' y='2'/>"
    lumen = f"<QVAS_Contour><Contour_Point>{point * 5}</Contour_Point><ContourType>Lumen</ContourType></QVAS_Contour>"
    wall = lumen.replace(point * 5, "".join(f"<Point x='{x}' y='{y}'/>" for x, y in ((0, 0), (8, 0), (8, 8), (0, 8))))
    wall = wall.replace("Lumen", "Outer Wall")
    (tmp_path / "s.QVS").write_text(f"<a xmlns='urn:c'><QVAS_Image/><QVAS_Image>{lumen}{wall}</QVAS_Image></a>")
    (tmp_path / "1L.QVJ").write_text(f"<a xmlns='urn:c'>{NAMED}</a>")
    vessel = read_vessel(tmp_path / "1L.QVJ")
    assert list(vessel) == [1] and list(vessel[1]) == ["Outer Wall"]
    assert vessel[1]["Outer Wall"].min() == 0 and vessel[1]["Outer Wall"].max() == 8
