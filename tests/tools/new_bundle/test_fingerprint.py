import dataclasses
import json
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from tests.tools.new_bundle.folders import change, image, label, save, write_plain
from tools.new_bundle.fingerprint import fingerprint
from tools.new_bundle.folders import find_source
from tools.new_bundle.measure import measure_case
from tools.new_bundle.measurements import measure_all, measured_rows


def measured(cases, file, **options):
    measure_all(cases, file, 1, **options)
    return fingerprint(measured_rows(cases, file, 1), len(cases), 1)


@pytest.fixture
def cases(tmp_path):
    """Five cases of other sizes, spacings and orientations."""
    for number in range(5):
        rng = np.random.default_rng(number)
        size = (10 + number, 12, 9 + 2 * number)
        label = rng.integers(0, 3, size) * (rng.random(size) < 0.6)
        image = rng.gamma(2, 50 + 10 * number, size) - 20
        # the axes of the files are S, L, A
        affine = np.zeros((4, 4))
        affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = 2 + number / 5, -0.8, 0.7 + number / 10, 1
        save(image.astype(np.float32), tmp_path / "data/images" / f"c{number}.nii.gz", affine)
        save(label.astype(np.uint8), tmp_path / "data/labels" / f"c{number}.nii.gz", affine)
    return find_source(tmp_path / "data").cases


def test_it_equals_what_numpy_says_of_the_files(cases, tmp_path):
    found = measured(cases, tmp_path / "measured.jsonl")
    foregrounds, everything, labels, spacings, shapes = [], [], [], [], []
    for case in cases:
        image, label = (nib.as_closest_canonical(nib.load(case[key])) for key in ("image", "label"))
        spacings.append(image.header.get_zooms())
        shapes.append(image.shape)
        labels.append(np.asarray(label.dataobj).ravel())
        everything.append(image.get_fdata())
        foregrounds.append(image.get_fdata()[np.asarray(label.dataobj) > 0])
    np.testing.assert_allclose(found.spacings, spacings, rtol=1e-5)
    np.testing.assert_array_equal(found.shapes, shapes)
    channel = found.channels[0]
    assert channel.min == pytest.approx(min(map(np.min, everything)), rel=1e-6)
    assert channel.max == pytest.approx(max(map(np.max, everything)), rel=1e-6)
    # every case counts the same, so each of its voxels weighs what it is a part of
    weights = np.concatenate([np.full(len(f), 1 / len(f)) for f in foregrounds])
    values = np.concatenate(foregrounds)
    mean = np.average(values, weights=weights)
    assert channel.mean == pytest.approx(mean, rel=1e-5)
    assert channel.sd == pytest.approx(np.sqrt(np.average((values - mean) ** 2, weights=weights)), rel=1e-5)
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    for value, wanted in ((channel.low, 0.005), (channel.median, 0.5), (channel.high, 0.995)):
        below = np.interp(value, values[order], share)
        assert below == pytest.approx(wanted, abs=0.004)  # quantiles of quantiles, 0.5 % apart
    counts = np.bincount(np.concatenate(labels))
    assert found.voxels == {value: int(count) for value, count in enumerate(counts)}
    assert found.cases == {0: 5, 1: 5, 2: 5} and not channel.hounsfield
    assert found.summary()["class_frequencies"]["1"] == pytest.approx(counts[1] / counts.sum())


def test_the_box_around_what_is_not_zero(tmp_path):
    image = np.zeros((10, 10, 10), np.float32)
    image[2:7, 0:10, 4:8] = np.random.default_rng(0).random((5, 10, 4)) + 1
    save(image, tmp_path / "i.nii.gz")
    save((image > 1.5).astype(np.uint8), tmp_path / "l.nii.gz")
    case = {"case": "c", "image": str(tmp_path / "i.nii.gz"), "label": str(tmp_path / "l.nii.gz")}
    found = measure_case(case, 1)["measured"]
    assert found["filled"] == pytest.approx(0.5 * 1 * 0.4) and found["shape"] == [5, 10, 4]  # as the bundles crop


def test_cases_without_findings_leave_the_intensities_of_what_is_labelled(tmp_path):
    folder = write_plain(tmp_path / "data", 4, ct=True)
    cases = find_source(folder).cases
    with_all = measured(cases, tmp_path / "all.jsonl").channels[0]
    change(label(folder, 2), lambda a: 0 * a)
    change(image(folder, 2), lambda a: 0 * a - 1000)
    with_one_empty = measured(cases, tmp_path / "one.jsonl").channels[0]
    without_it = measured([*cases[:2], *cases[3:]], tmp_path / "without.jsonl").channels[0]
    assert dataclasses.replace(with_one_empty, min=0, max=0) == dataclasses.replace(without_it, min=0, max=0)
    assert with_one_empty.min == -1000 and with_one_empty.low == pytest.approx(with_all.low, abs=50)


def test_what_could_not_be_read_is_tried_again_and_another_number_of_channels_measured_anew(cases, tmp_path):
    file = tmp_path / "measured.jsonl"

    def without_rights(case, count):
        fault = ["unreadable", "permission denied"]
        row = measure_case(case, count)
        return {**row, "faults": [fault], "measured": None} if case["case"] == "c1" else row

    measure_all(cases, file, 1, measure=without_rights)
    for count in (1, 2, 1):
        measure_all(cases, file, count)
        rows = dict(measured_rows(cases, file, count))
        assert len(rows) == len(cases)
        assert all(bool(row["faults"]) == (count == 2) for row in rows.values())


def test_interrupted_equals_unbroken(cases, tmp_path):
    whole = measured(cases, tmp_path / "whole.jsonl")
    read = []

    def interrupted(case, count):
        if len(read) == 3:
            raise KeyboardInterrupt
        read.append(case["case"])
        return measure_case(case, count)

    def counted(case, count):
        read.append(case["case"])
        return measure_case(case, count)

    with pytest.raises(KeyboardInterrupt):
        measure_all(cases, tmp_path / "broken.jsonl", 1, measure=interrupted)
    text = (tmp_path / "broken.jsonl").read_text()
    (tmp_path / "broken.jsonl").write_text(text[:-30])  # killed in the middle of the third line
    again = measured(cases, tmp_path / "broken.jsonl", measure=counted)
    assert read == ["c0", "c1", "c2", "c2", "c3", "c4"]
    assert json.dumps(again.summary()) == json.dumps(whole.summary())
    # nothing is read again, until a file changes
    measured(cases, tmp_path / "broken.jsonl", measure=counted)
    assert len(read) == 6
    save(np.ones((4, 4, 4), np.float32), tmp_path / "data/images/c1.nii.gz")
    save(np.ones((4, 4, 4), np.uint8), tmp_path / "data/labels/c1.nii.gz")
    assert measured(cases, tmp_path / "broken.jsonl", measure=counted).shapes.min() == 4 and read[6:] == ["c1"]


def test_several_processes_read_the_same(tmp_path):
    cases = find_source(write_plain(tmp_path / "data")).cases
    alone, together = tmp_path / "alone.jsonl", tmp_path / "together.jsonl"
    measure_all(cases, alone, 1)
    measure_all(cases, together, 1, num_workers=2)
    assert alone.read_text() == together.read_text()


def from_header(case, num_channels):
    """A row as of a real file, by a generated header."""
    rng = np.random.default_rng(int(case["case"]))
    low = float(rng.integers(-1024, -1000))
    channel = {"min": low, "max": 3000.0, "mean": 50.0 + rng.random(), "sd": 20.0}
    channel["quantiles"] = np.sort(rng.normal(50, 20, 201)).round(3).tolist()
    sizes = {"shape": [512, 512, int(rng.integers(50, 500))], "spacing": [0.7, 0.7, float(rng.choice([1.0, 2.5, 5.0]))]}
    measured = {
        **sizes,
        "filled": 1.0,
        "channels": [channel],
        "classes": {"0": 9000, "1": 1000},
        "digest": case["case"],
    }
    path = f"{case['image']} | {case['label']}"
    return {"case": case["case"], "path": path, "stamp": "missing", "faults": [], "measured": measured}


@pytest.mark.slow
def test_ten_thousand_cases_take_bounded_memory_show_progress_and_can_be_interrupted(tmp_path, monkeypatch):
    count = 10_000
    cases = [{"case": str(n), "image": f"i{n}.nii.gz", "label": f"l{n}.nii.gz"} for n in range(count)]
    shown = []

    def progress(loader, text, total, initial, **_):
        shown.append((initial, total))
        return loader

    monkeypatch.setattr("tools.new_bundle.measurements.tqdm", progress)

    def interrupted(case, num_channels):
        if case["case"] == "6000":
            raise KeyboardInterrupt
        return from_header(case, num_channels)

    with pytest.raises(KeyboardInterrupt):
        measure_all(cases, tmp_path / "m.jsonl", 1, measure=interrupted)
    tracemalloc.start()
    measure_all(cases, tmp_path / "m.jsonl", 1, measure=from_header)
    found = fingerprint(measured_rows(cases, tmp_path / "m.jsonl", 1), count, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len((tmp_path / "m.jsonl").read_text().splitlines()) == len(found.shapes) == count
    assert shown == [(0, count), (6000, count)]
    assert peak < 50e6  # 10,000 CTs have a terabyte of voxels
    assert found.channels[0].hounsfield and found.voxels == {0: 9000 * count, 1: 1000 * count}
    expected = [float(np.random.default_rng(n).integers(-1024, -1000)) for n in range(count)]
    assert found.channels[0].min == min(expected)
