import json

import pytest

from scripts.errors import InputError
from tests.tools.new_bundle.folders import (
    SPOILED,
    change,
    image,
    label,
    state,
    volume,
    with_value,
    write_bids,
    write_nnunet,
    write_plain,
)
from tools.new_bundle.checks import check
from tools.new_bundle.faults import LEVELS, Fault, errors_of, table
from tools.new_bundle.folders import find_source
from tools.new_bundle.measurements import measure_all, measured_rows


def inspect(folder, channels=None):
    source = find_source(folder, channels)
    file = folder.parent / "measured.jsonl"
    count = len(source.channels or [0])
    measure_all(source.cases, file, count)
    return check(source, measured_rows(source.cases, file, count), source.labels)


@pytest.mark.parametrize("write", [write_plain, write_nnunet, write_bids])
def test_healthy_data_have_no_fault(tmp_path, write):
    assert inspect(write(tmp_path / "data")) == []


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_folder_has_its_fault_named(tmp_path, name):
    write, spoil, case, kind = SPOILED[name]
    folder = write(tmp_path / "data")
    spoil(folder)
    faults = inspect(folder)
    assert (case, kind) in {(fault.case, fault.kind) for fault in faults}, faults
    if name not in ("channel missing", "id not stated", "nothing labelled"):  # which are faults of every case
        assert {fault.case for fault in faults} == {case}


def test_every_kind_of_fault_is_among_the_spoiled():
    assert {kind for _, _, _, kind in SPOILED.values()} == set(LEVELS)


def test_all_faults_are_reported_at_once(tmp_path):
    folder = write_plain(tmp_path / "data", 6)
    label(folder, 0).unlink()
    change(image(folder, 1), lambda a: with_value(a, float("nan")))
    change(label(folder, 2), lambda a: a[1:])
    change(image(folder, 4), lambda a: volume(3)[0])
    change(label(folder, 5), lambda a: 0 * a)
    faults = inspect(folder)
    assert [(fault.case, fault.kind, fault.level) for fault in faults] == [
        ("c0", "missing partner", "error"),
        ("c1", "not finite", "error"),
        ("c2", "shape", "error"),
        ("c4", "duplicate", "error"),
        ("c5", "empty label", "warning"),
    ]
    lines = table(faults).splitlines()
    assert lines[0].split()[:3] == ["level", "case", "fault"] and len(errors_of(faults)) == 4
    assert all(any(fault.text in line and fault.case in line for line in lines[1:6]) for fault in faults)


def test_a_long_table_says_how_much_is_left_out():
    text = table([Fault(f"c{n}", "empty label", "nothing") for n in range(30)], most=10)
    assert "... and 20 more" in text and text.endswith("30 x empty label (warning)")


def test_a_folder_of_no_known_form_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="holds no labelled scans of a known form"):
        find_source(tmp_path / "data")
    with pytest.raises(InputError, match="is not a folder"):
        find_source(tmp_path / "none")


def test_bids_takes_the_contrasts_asked_for_in_order(tmp_path):
    source = find_source(write_bids(tmp_path / "data"), ["T1w"])
    assert source.cases[0]["case"] == "sub-00_ses-1" and source.cases[0]["image"].endswith("ses-1_T1w.nii.gz")
    both = find_source(tmp_path / "data", ["T1w", "FLAIR"])
    assert [path[-12:] for path in both.cases[0]["image"]] == ["1_T1w.nii.gz", "FLAIR.nii.gz"]
    assert find_source(tmp_path / "data").channels == ["FLAIR", "T1w"]


def test_a_folder_per_case(tmp_path):
    for number in range(3):
        write_plain(tmp_path / "plain", 3)
        for kind, name in (("images", "FLAIR"), ("labels", "lesion")):
            path = tmp_path / "data" / f"patient{number}" / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((tmp_path / "plain" / kind / f"c{number}.nii.gz").read_bytes())
    source = find_source(tmp_path / "data")
    assert source.channels == ["FLAIR"] and [case["case"] for case in source.cases] == [
        "patient0",
        "patient1",
        "patient2",
    ]


def test_linked_folders_are_entered(tmp_path):
    write_bids(tmp_path / "elsewhere", 4)
    (tmp_path / "data").mkdir()
    for number, folder in enumerate(sorted((tmp_path / "elsewhere").iterdir())):
        target = tmp_path / "data" / folder.name
        folder.rename(target) if number < 2 else target.symlink_to(folder)
    assert len(find_source(tmp_path / "data").cases) == 4


def test_a_label_for_what_nobody_labelled_is_refused(tmp_path):
    folder = write_nnunet(tmp_path / "data")
    labels = {"background": 0, "core": 1, "ignore": 2}
    state(folder, {"channel_names": {"0": "MRI"}, "labels": labels, "file_ending": ".nii.gz"})
    with pytest.raises(InputError, match="label 'ignore' for what nobody labelled"):
        find_source(folder)


def test_a_split_may_list_dictionaries(tmp_path):
    folder = write_nnunet(tmp_path / "data")
    entry = {"image": "imagesTr/c1_0000.nii.gz", "label": "labelsTr/c1.nii.gz"}
    (folder / "split.json").write_text(json.dumps({"train": [entry], "test": [entry]}))
    assert [(fault.case, fault.kind) for fault in inspect(folder)] == [("c1", "two splits")]


def test_two_labels_for_one_image_are_a_fault(tmp_path):
    folder = write_plain(tmp_path / "data")
    for rater in ("seg", "mask"):
        (folder / "labels" / f"c1_{rater}.nii.gz").write_bytes(label(folder, 1).read_bytes())
    label(folder, 1).unlink()
    faults = inspect(folder)
    assert [(fault.case, fault.kind) for fault in faults] == [("c1", "missing partner")] and "keep one" in faults[
        0
    ].text
