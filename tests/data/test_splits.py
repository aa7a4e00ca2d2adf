"""Parts must not share a patient, must cover everything, and must not move when something unrelated changes."""

import json
import logging

import pytest

from scripts.data.digest import parts_digest
from scripts.data.marks import case_marks, image_marks
from scripts.data.splits import evaluated_cases, hold_out, split_cases
from scripts.errors import InputError

CASES = [{"case": f"case_{index:03d}", "image": f"{index}.nii"} for index in range(100)]
VISITS = [{"case": f"p{patient:02d}_visit{visit}"} for patient in range(40) for visit in range(1 + patient % 4)]
PATIENT = r"^(p\d+)_"


def _names(part):
    return [item["case"] for item in part]


def _patients(part):
    return {item["case"].split("_")[0] for item in part}


@pytest.mark.parametrize(("cases", "pattern"), [(CASES, None), (VISITS, PATIENT)])
def test_folds_cover_all_outside_the_test_part_once(cases, pattern):
    splits = [split_cases(cases, fold=fold, patient_pattern=pattern) for fold in range(5)]
    tests = {tuple(_names(split["test"])) for split in splits}
    assert len(tests) == 1
    validated = [name for split in splits for name in _names(split["val"])]
    assert sorted([*validated, *tests.pop()]) == sorted(_names(cases))
    for split in splits:
        parts = [set(_names(part)) for part in split.values()]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(cases)


def test_only_parts_with_cases_are_evaluated():
    split = split_cases(CASES, test_fraction=0)
    assert evaluated_cases(split, "val") == split["val"]
    with pytest.raises(InputError, match="evaluated_part is test, a part of the data that has no cases: give another"):
        evaluated_cases(split, "test")


def test_sizes():
    split = split_cases(CASES)
    assert {part: len(cases) for part, cases in split.items()} == {"train": 64, "val": 16, "test": 20}
    split = split_cases(CASES, test_fraction=0.0, num_folds=4)
    assert {part: len(cases) for part, cases in split.items()} == {"train": 75, "val": 25, "test": 0}
    assert len(split_cases(CASES[:10], test_fraction=0.01)["test"]) == 1


@pytest.mark.parametrize("fold", range(5))
def test_patients_never_straddle(fold):
    split = split_cases(VISITS, fold=fold, patient_pattern=PATIENT)
    patients = [_patients(part) for part in split.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 40


def test_order_of_cases_is_kept_and_does_not_matter():
    split, backwards = split_cases(CASES), split_cases(CASES[::-1])
    for part in split:
        assert split[part] == backwards[part][::-1] == [case for case in CASES if case in split[part]]


def test_seed_draws_other_parts():
    assert split_cases(CASES, seed=1)["test"] != split_cases(CASES, seed=2)["test"]
    assert split_cases(CASES, seed=1) == split_cases(CASES, seed=1)


@pytest.mark.parametrize("fold", [0, 3])
def test_label_budgets_are_nested(fold):
    full = split_cases(CASES, fold=fold)
    former: set[str] = set()
    for budget in (1, 5, 10, 40, 64):
        split = split_cases(CASES, fold=fold, num_labelled=budget)
        names = set(_names(split["train"]))
        assert len(names) == budget
        assert former <= names <= set(_names(full["train"]))
        assert (split["val"], split["test"]) == (full["val"], full["test"])
        former = names


def test_other_cases_of_a_budget_are_drawn_within_the_same_parts():
    first, again, other = (split_cases(CASES, num_labelled=10, subset_seed=seed) for seed in (None, 0, 1))
    assert first == again and first["train"] != other["train"]
    assert (first["val"], first["test"]) == (other["val"], other["test"])
    assert set(_names(other["train"])) <= set(_names(split_cases(CASES)["train"]))


def test_budget_counts_cases_not_patients():
    assert len(split_cases(VISITS, num_labelled=7, patient_pattern=PATIENT)["train"]) == 7


def test_counts_are_logged(caplog):
    with caplog.at_level(logging.INFO):
        split = split_cases(VISITS, patient_pattern=PATIENT)
    for part, cases in split.items():
        assert f"{part} {len(cases)} ({len(_patients(cases))} patients)" in caplog.text


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"fold": 5}, "fold 5 of 5 does not exist"),
        ({"fold": -1}, "fold -1 of 5"),
        ({"num_folds": 1}, "fold 0 of 1"),
        ({"test_fraction": 1.0}, "test_fraction is 1.0"),
        ({"test_fraction": -0.1}, "test_fraction is -0.1"),
        ({"num_labelled": 65}, "num_labelled is 65: give 1 to 64"),
        ({"num_labelled": 0}, "num_labelled is 0"),
        ({"num_folds": 90}, "100 patients are too few: 20 for the test leave 80 for 90 folds"),
        ({"patient_pattern": "("}, "not a regular expression"),
        ({"patient_pattern": "case"}, "has no group"),
        ({"patient_pattern": "^(p.*)_"}, "does not match the case case_000"),
    ],
)
def test_impossible_wishes(wish, message):
    with pytest.raises(InputError, match=message):
        split_cases(CASES, **wish)


@pytest.fixture
def lists(tmp_path):
    """Return a function that writes a list of the cases' parts and divides the cases by it."""

    def divide(train, test, cases=CASES, **wish):
        (tmp_path / "paper.json").write_text(json.dumps({"train": _names(train), "test": _names(test)}))
        return split_cases(cases, **{"split": "paper", "splits_dir": tmp_path, **wish})

    return divide


def test_a_list_names_the_test_part_and_folds_the_rest(lists):
    splits = [lists(CASES[:60], CASES[60:], fold=fold, test_fraction=0.5) for fold in range(5)]
    assert all(split["test"] == CASES[60:] for split in splits)
    assert sorted(name for split in splits for name in _names(split["val"])) == _names(CASES[:60])
    assert all(sorted(_names(split["train"] + split["val"])) == _names(CASES[:60]) for split in splits)


@pytest.mark.parametrize("split", [None, "paper"])
def test_without_a_fold_all_train_and_the_test_part_validates(lists, split, caplog):
    with caplog.at_level(logging.WARNING):
        parts = lists(CASES[:60], CASES[60:], fold=None, split=split)
    assert parts["val"] == parts["test"] and len(parts["train"]) + len(parts["test"]) == 100
    assert "model.pt is chosen by them" in caplog.text
    with pytest.raises(InputError, match="no test cases to validate on"):
        split_cases(CASES, fold=None, test_fraction=0.0)


def test_a_list_may_be_a_file_of_the_users(lists, tmp_path):
    assert lists(CASES[:60], CASES[60:], split=str(tmp_path / "paper.json"))["test"] == CASES[60:]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (CASES[:60], CASES[61:], r"does not name, but the dataset has, 1 cases \(case_060\): remove"),
        (CASES[:60], CASES[67:], r"7 cases \(case_060, case_061, case_062, case_063, case_064, \.\.\.\)"),
        (CASES[:60], [*CASES[60:], {"case": "x"}], r"names, but the dataset lacks, 1 cases \(x\): add .* or rename"),
        (CASES[:60], CASES[59:], r"names twice 1 cases \(case_059\): correct the list"),
        (CASES, [], "is no split: expected"),
    ],
)
def test_lists_that_do_not_fit(lists, train, test, message):
    with pytest.raises(InputError, match=message):
        lists(train, test)


def test_a_list_must_not_tear_a_patient_apart(lists):
    with pytest.raises(InputError, match="the patient p39 in both train and test"):
        lists(VISITS[:-1], VISITS[-1:], cases=VISITS, patient_pattern=PATIENT)


def test_unknown_lists(lists):
    with pytest.raises(InputError, match="split other is not known: give one of paper, or a JSON file"):
        lists(CASES[:60], CASES[60:], split="other")


@pytest.mark.parametrize(
    ("count", "held_out"),
    [(2, 1), (3, 1), (6, 2), (15, 5), (34, 5), (400, 5), (1000, 10), (39168, 392), (110000, 1000)],
)
def test_hold_out_sizes(count, held_out):
    scans = [{"case": str(index)} for index in range(count)]
    parts = hold_out(scans)
    assert len(parts["val"]) == held_out
    assert sorted([*_names(parts["train"]), *_names(parts["val"])]) == sorted(_names(scans))


def test_hold_out_keeps_patients_together():
    parts = hold_out(VISITS, patient_pattern=PATIENT)
    assert len(_patients(parts["val"])) == 5
    assert not _patients(parts["val"]) & _patients(parts["train"])


def test_channels_taken_for_patients_are_warned_of(caplog):
    scans = [{"case": f"{case}_{channel:04d}"} for case in "abcd" for channel in range(2)]
    hold_out(scans)
    assert "a_0000 and a_0001 count as two patients" in caplog.text and len(caplog.messages) == 1
    pattern = caplog.text.split("'")[1]
    caplog.clear()
    parts = hold_out([*scans, {"case": "e"}], patient_pattern=pattern)
    assert {item["case"][0] for item in parts["train"]} & {item["case"][0] for item in parts["val"]} == set()
    hold_out([{"case": f"p_{number:03d}"} for number in range(9)])
    assert not caplog.messages


def test_hold_out_of_one_patient():
    with pytest.raises(InputError, match="1 patient is too few"):
        hold_out(CASES[:1])
    with pytest.raises(InputError, match="1 patient is too few"):
        hold_out(VISITS[1:3], patient_pattern=PATIENT)


def test_a_text_tells_whether_the_same_cases_train_and_validate():
    cases, parts = CASES, split_cases(CASES)
    text = parts_digest(parts["train"], parts["val"])
    assert text == parts_digest(*(split_cases(cases[::-1])[part] for part in ("train", "val")))
    assert text.startswith(f"{len(parts['train'])} + {len(parts['val'])} (")
    others = [split_cases(cases[1:]), split_cases(cases, fold=1), split_cases(cases, test_fraction=0.3)]
    texts = [parts_digest(other["train"], other["val"]) for other in others]
    assert len({text, *texts, parts_digest(parts["val"], parts["train"])}) == 5
    assert parts_digest([{"image": "a.nii"}], []) != parts_digest([{"image": "b.nii"}], [])  # as MONAI Label gives them


def test_names_that_are_no_utf8_are_cases_as_others_are():
    """As files from old hospital shares come, through `os.fsdecode`."""
    cases = [{"case": f"M\udcfcller_{number}", "stamp": f"{number}-0"} for number in range(10)]
    assert len(hold_out(cases)["val"]) == 3 and len(split_cases(cases)["test"]) == 2
    assert len(set(case_marks(cases))) == 10


def test_a_mark_tells_a_case_again_wherever_it_lies_and_does_not_name_it():
    case = {"case": "miller", "stamp": "1200-17"}
    assert case_marks([case]) == case_marks([{**case, "stamp": "1200-99", "image": "/elsewhere"}])
    others = [{**case, "case": "smith"}, {**case, "stamp": "1201-17"}]
    assert len({*case_marks([case]), *case_marks(others)}) == 3 and "miller" not in str(case_marks([case]))
    assert case_marks([{"image": "a.nii"}]) == image_marks([{"image": "a.nii"}]) == []
