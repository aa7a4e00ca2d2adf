"""Labelled X-rays: both layouts, and everything that is refused with its row."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.data import find_xrays, read_xray, split_xrays, unlabelled_xrays, xray_cases
from scripts.data.xray_findings import FINDINGS
from scripts.errors import InputError


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Six images of four patients in the release's layout, spread over two folders."""
    rows = [("00000001_000.png", "Cardiomegaly|Effusion", "1"), ("00000001_001.png", "No Finding", "1")]
    rows += [("00000002_000.png", "Pleural_Thickening", "2"), ("00000003_000.png", "Hernia", "3")]
    rows += [("00000003_001.png", "Mass|Nodule", "3"), ("00000004_000.png", "No Finding", "4")]
    for number, (name, _, _) in enumerate(rows):
        path = tmp_path / f"images_{number % 2:03d}" / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 40 * number, dtype=np.uint8)).save(path)
    write_table(tmp_path, rows)
    (tmp_path / "train_val_list.txt").write_text("\n".join(name for name, _, _ in rows[:3]) + "\n")
    (tmp_path / "test_list.txt").write_text("\n".join(name for name, _, _ in rows[3:]))
    return tmp_path


def write_table(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    with (folder / "Data_Entry_2017.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("Image Index", "Finding Labels", "Patient ID"), *rows])


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def named(case: dict[str, Any]) -> set[str]:
    return {name for name, value in zip(FINDINGS, case["label"], strict=True) if value}


def test_release_is_read_by_name(release: Path) -> None:
    cases = xray_cases(release)
    assert [named(case) for case in cases] == [
        {"Cardiomegaly", "Effusion"}, set(), {"Pleural_Thickening"}, {"Hernia"}, {"Mass", "Nodule"}, set(),
    ]  # fmt: skip
    assert [case["patient"] for case in cases] == ["00000001"] * 2 + ["00000002"] + ["00000003"] * 2 + ["00000004"]
    assert [case["part"] for case in cases] == ["train_val"] * 3 + ["test"] * 3
    assert all(Path(case["image"]).is_file() for case in cases)


@pytest.mark.parametrize("spelling", ["Pleural Thickening", "pleural_thickening", "PleuralThickening"])
def test_spellings_are_one_finding(release: Path, spelling: str) -> None:
    edit(release / "Data_Entry_2017.csv", "Pleural_Thickening", spelling)
    assert named(xray_cases(release)[2]) == {"Pleural_Thickening"}


def test_reduced_layout_in_any_order_of_columns(release: Path) -> None:
    cases = xray_cases(release)
    columns = ["patient", *reversed(FINDINGS), "image"]
    with (release / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for case in cases:
            values = dict(zip(FINDINGS, case["label"], strict=True))
            writer.writerow({"image": case["case"] + ".png", "patient": case["patient"], **values})
    with pytest.raises(InputError, match=r"Data_Entry_2017.csv, labels.csv"):
        xray_cases(release)
    (release / "Data_Entry_2017.csv").unlink()
    assert [case["label"] for case in xray_cases(release)] == [case["label"] for case in cases]
    edit(release / "labels.csv", "Hernia", "Cough")
    with pytest.raises(InputError, match=r"row 1: columns missing \['Hernia'\], unknown \['Cough'\]"):
        xray_cases(release)


def unknown_finding(folder: Path) -> None:
    edit(folder / "Data_Entry_2017.csv", "Effusion", "Efusion")


def finding_and_none(folder: Path) -> None:
    edit(folder / "Data_Entry_2017.csv", "Cardiomegaly|Effusion", "No Finding|Effusion")


def row_without_image(folder: Path) -> None:
    next(folder.glob("*/*/00000002_000.png")).unlink()


def image_twice(folder: Path) -> None:
    table = folder / "Data_Entry_2017.csv"
    table.write_text(table.read_text() + "00000004_000.png,No Finding,4\n")


def image_in_two_lists(folder: Path) -> None:
    path = folder / "test_list.txt"
    path.write_text(path.read_text() + "\n00000002_000.png\n")


def patient_in_two_lists(folder: Path) -> None:
    edit(folder / "train_val_list.txt", "00000001_001.png\n", "")
    path = folder / "test_list.txt"
    path.write_text(path.read_text() + "\n00000001_001.png\n")


def image_in_no_list(folder: Path) -> None:
    edit(folder / "test_list.txt", "00000003_001.png\n", "")


def list_of_strangers(folder: Path) -> None:
    edit(folder / "test_list.txt", "00000003_001", "00000009_001")


def one_list(folder: Path) -> None:
    (folder / "test_list.txt").unlink()


def file_twice(folder: Path) -> None:
    image = next(folder.glob("*/*/00000002_000.png"))
    (folder / "copy").mkdir()
    (folder / "copy" / image.name).write_bytes(image.read_bytes())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (unknown_finding, r"row 2 \(00000001_000.png\) has the finding 'Efusion'; known are Atelectasis.*No Finding"),
        (finding_and_none, r"row 2 \(00000001_000.png\) .*exclude each other"),
        (row_without_image, r"Data_Entry_2017.csv row 4 \(00000002_000.png\) has no image"),
        (image_twice, r"row 8 \(00000004_000.png\) repeats an image of .*row 7"),
        (image_in_two_lists, r"test_list.txt row 4 \(00000002_000.png\) is in train_val_list.txt too"),
        (patient_in_two_lists, r"row 3 \(00000001_001.png\) is of patient 00000001 in test_list.txt"),
        (image_in_no_list, r"row 6 \(00000003_001.png\) is in neither"),
        (list_of_strangers, r"test_list.txt row 2 \(00000009_001.png\) is not in the table"),
        (one_list, r"add the other"),
        (file_twice, r"00000002_000.png is there twice"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_row(release: Path, spoil: Any, message: str) -> None:
    spoil(release)
    with pytest.raises(InputError, match=message):
        xray_cases(release)


def test_a_plain_folder_needs_no_table_and_loses_the_official_test_images(release: Path) -> None:
    (release / "Data_Entry_2017.csv").unlink()
    (release / "train_val_list.txt").unlink()
    parts = split_xrays(unlabelled_xrays(release), val_fraction=0.3)
    assert {c["case"] for c in parts["test"]} == {"00000003_000", "00000003_001", "00000004_000"}
    (release / "test_list.txt").unlink()
    parts = split_xrays(unlabelled_xrays(release), val_fraction=0.3)
    assert not parts["test"] and len(parts["train"]) + len(parts["val"]) == 6
    assert not {c["patient"] for c in parts["train"]} & {c["patient"] for c in parts["val"]}


def test_test_images_of_another_format_are_left_out_of_a_plain_folder(
    release: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    for path in release.glob("images_*/*/*.png"):
        Image.open(path).save(copies / f"{path.stem}.jpg")
    (copies / "test_list.txt").write_text((release / "test_list.txt").read_text())
    parts = split_xrays(unlabelled_xrays(copies), val_fraction=0.3)
    assert {c["case"] for c in parts["test"]} == {"00000003_000", "00000003_001", "00000004_000"}
    assert not caplog.records
    (copies / "00000003_001.jpg").unlink()
    assert sum(c["part"] == "test" for c in unlabelled_xrays(copies)) == 2
    assert f"1 of 3 images of test_list.txt are not in {copies}" in caplog.text
    (copies / "test_list.txt").write_text("00000009_000.png\n00000009_001.png\n")
    with pytest.raises(InputError, match=r"test_list.txt names none of the 5 images in .*or remove it"):
        unlabelled_xrays(copies)


@pytest.mark.parametrize(
    ("table", "header", "found", "none"),
    [
        ("labels.csv", "Image,Fracture,Patient", "1", "0"),
        ("Data_Entry_2017.csv", "Image Index,Finding Labels,Patient ID", "Fracture", "No Finding"),
    ],
)
def test_pretraining_leaves_out_the_same_patients_whatever_the_findings_are(
    release: Path, table: str, header: str, found: str, none: str
) -> None:
    for path in (*release.glob("*.csv"), *release.glob("*_list.txt")):
        path.unlink()
    names = ["1_000", "1_001", "2_000", "3_000", "3_001", "4_000"]
    rows = [f"0000000{name}.png,{found if name > '3' else none},{name[0]}" for name in names]
    (release / table).write_text("\n".join([header, *rows]))
    ours, theirs = (
        split_xrays(cases, val_fraction=0.3, test_fraction=0.3)
        for cases in (unlabelled_xrays(release), xray_cases(release, ["Fracture"]))
    )
    assert ours["test"] and sum(case["label"][0] for part in theirs.values() for case in part) == 3
    for part in ours:
        assert [case["case"] for case in ours[part]] == [case["case"] for case in theirs[part]]


@pytest.mark.parametrize("official", [True, False])
def test_parts_share_no_patient(official: bool) -> None:
    rng = np.random.default_rng(0)
    cases = [{"case": f"{n:03d}", "patient": str(rng.integers(40)), "label": []} for n in range(120)]
    if official:
        cases = [{**c, "part": "test" if int(str(c["patient"])) < 10 else "train_val"} for c in cases]
    parts = split_xrays(cases, val_fraction=0.2, test_fraction=0.25, seed=3)
    patients = {part: {c["patient"] for c in content} for part, content in parts.items()}
    assert sum(len(p) for p in patients.values()) == len({c["patient"] for c in cases})
    assert sum(len(content) for content in parts.values()) == 120 and patients["train"] and patients["val"]
    if official:
        assert patients["test"] == {str(n) for n in range(10)} & {c["patient"] for c in cases}
    else:
        assert len(patients["test"]) == round(0.25 * len({c["patient"] for c in cases}))
    few, more = (split_xrays(cases, 0.2, 0.25, 3, num_labelled=n)["train"] for n in (10, 30))
    assert len(few) == 10 and {c["case"] for c in few} < {c["case"] for c in more}
    assert {c["case"] for c in parts["val"]} != {c["case"] for c in split_xrays(cases, 0.2, 0.25, 4)["val"]}


def test_all_kinds_of_images_are_read_alike(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)
    kinds = {mode: Image.fromarray(grey).convert(mode) for mode in ("L", "LA", "RGB", "RGBA", "P")}
    kinds["RGBA"].putalpha(7)
    kinds["16"] = Image.fromarray(257 * grey.astype(np.uint16))
    for name, image in kinds.items():
        image.save(tmp_path / f"{name}.png")
        pixels = read_xray(tmp_path / f"{name}.png")
        assert pixels.dtype == np.float32 and pixels.shape == (1, 5, 7)
        np.testing.assert_allclose(pixels[0], grey / 255, atol=1e-6, err_msg=name)
    assert [x["case"] for x in find_xrays(tmp_path)] == sorted(kinds)


def test_broken_and_missing_images_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not an image")
    with pytest.raises(InputError, match=r"broken.png cannot be read"):
        read_xray(tmp_path / "broken.png")
    with pytest.raises(InputError, match=r"no images in .*expected files ending in .png"):
        find_xrays(tmp_path.joinpath("empty") if tmp_path.joinpath("empty").mkdir() else tmp_path / "empty")
    Image.fromarray(np.zeros((3, 3), np.float32)).save(tmp_path / "float.tiff")
    (tmp_path / "float.tiff").rename(tmp_path / "float.png")
    with pytest.raises(InputError, match=r"kind 'F'"):
        read_xray(tmp_path / "float.png")


def test_real_images(real_data: Path) -> None:
    parts = split_xrays(xray_cases(real_data / "chestxray14_64px"))
    assert sum(map(len, parts.values())) == 742 and all(parts.values())


def test_results_are_no_images(tmp_path):
    for name in ("a.png", "more/b.png", "results/a_occlusion.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / name)
    assert [x["case"] for x in find_xrays(tmp_path, results=tmp_path / "results")] == ["a", "b"]
    with pytest.raises(InputError, match="give another output_dir"):
        find_xrays(tmp_path, results=tmp_path)
