"""Division of cases by patient, which follows from the names and the seed, or from a published list, alone."""

from __future__ import annotations

import logging
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..errors import InputError
from .scans import without_channel
from .split_lists import listed_parts

logger = logging.getLogger(__name__)
MOST_HELD_OUT = 1000  # patients


def split_cases(
    cases: list[dict[str, Any]],
    fold: int | None = 0,
    num_folds: int = 5,
    test_fraction: float = 0.2,
    seed: int = 0,
    num_labelled: int | None = None,
    patient_pattern: str | None = None,
    split: str | None = None,
    splits_dir: str | Path = "splits",
    subset_seed: int | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Divide cases by patient into a test part, the same for every fold, and one fold's training and validation part.

    Args:
        cases: dicts with `case`.
        fold: which of the folds validates, from 0. With None all patients outside the test part train, and the test
            part validates as well: it then chooses the model that is scored on it, as some published protocols do.
        num_folds: number of folds into which the patients outside the test part are divided.
        test_fraction: share of patients held out for the test; depends on the seed only. 0 for none.
        seed: another seed draws other parts.
        num_labelled: keep this many training cases, None for all; fewer are always among more of the same seeds and
            fold.
        patient_pattern: regular expression whose first group is the patient in a case's name; None if every case is
            a patient of its own.
        split: list of the test cases to take instead of drawing them, see `listed_parts`; None to draw.
        splits_dir: folder of the lists known by name.
        subset_seed: another one keeps other training cases of the same parts; None for `seed`.

    Returns:
        `{"train": cases, "val": cases, "test": cases}`, each in the order of `cases`.

    Raises:
        InputError: what is asked for does not exist, such as fold 5 of 5, or more labelled cases than there are.
    """
    if fold is not None and (num_folds < 2 or not 0 <= fold < num_folds):
        raise InputError(f"fold {fold} of {num_folds} does not exist: give num_folds >= 2 and 0 <= fold < num_folds")
    check_fractions(test_fraction=test_fraction)
    patient = _patients(cases, patient_pattern)
    ordered = shuffled(set(patient.values()), f"patients {seed}")
    test = first_share(ordered, test_fraction) if split is None else _listed_test(split, splits_dir, patient)
    rest = [name for name in ordered if name not in test]
    if fold is None:
        if not test:
            raise InputError("fold is null and there are no test cases to validate on: give a fold or a test_fraction")
        logger.warning("fold is null: the test cases also validate, so model.pt is chosen by them, model_final.pt not")
    elif len(rest) < num_folds:
        raise InputError(
            f"{len(ordered)} patients are too few: {len(test)} for the test leave {len(rest)} for {num_folds} folds, "
            "give fewer folds, a smaller test_fraction or more patients"
        )
    val = test if fold is None else set(rest[fold::num_folds])
    return divided(cases, patient, val, test, num_labelled, seed if subset_seed is None else subset_seed)


def evaluated_cases(parts: dict[str, list[dict[str, Any]]], part: str) -> list[dict[str, Any]]:
    """Return the cases of one part, whose scores would be of nothing if there were none.

    Args:
        parts: of the cases by name, as `split_cases` and `split_xrays` return them.
        part: its name.

    Raises:
        InputError: if it is empty.
    """
    if not parts[part]:
        raise InputError(
            f"evaluated_part is {part}, a part of the data that has no cases: give another evaluated_part, split or "
            "test_fraction"
        )
    return parts[part]


def hold_out(
    scans: list[dict[str, Any]],
    fraction: float = 0.01,
    minimum: int = 5,
    seed: int = 12345,
    patient_pattern: str | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Hold out some patients to validate pretraining; never more than 1000 or a third of them, but at least one.

    Args:
        scans: dicts with `case`.
        fraction: share of patients to hold out.
        minimum: smallest number of patients to hold out.
        seed: another seed draws other patients.
        patient_pattern: regular expression whose first group is the patient in a case's name; None if every scan is
            a patient of its own.

    Returns:
        `{"train": scans, "val": scans}`, each in the order of `scans`.

    Raises:
        InputError: there is a single patient.
    """
    patient = _patients(scans, patient_pattern)
    if patient_pattern is None:
        _warn_of_channels(set(patient))
    ordered = shuffled(set(patient.values()), f"patients {seed}")
    if len(ordered) < 2:
        raise InputError(f"{len(ordered)} patient is too few: give scans of two at least, to train and to validate")
    wanted = min(max(round(fraction * len(ordered)), minimum), MOST_HELD_OUT)
    val = set(ordered[: max(1, min(wanted, len(ordered) // 3))])
    parts = {
        "train": [scan for scan in scans if patient[scan["case"]] not in val],
        "val": [scan for scan in scans if patient[scan["case"]] in val],
    }
    _log_parts(parts, patient)
    return parts


def check_fractions(**fractions: float) -> None:
    """Refuse values that are no shares of the patients.

    Raises:
        InputError: naming the first of them.
    """
    for name, value in fractions.items():
        if not 0 <= value < 1:
            raise InputError(f"{name} is {value}: give a share from 0 up to, not including, 1")


def first_share(ordered: list[str], fraction: float) -> set[str]:
    """Return a share of the patients, the first ones: at least one, but none for a fraction of 0."""
    return set(ordered[: max(1, round(fraction * len(ordered)))] if fraction else [])


def divided(
    cases: list[dict[str, Any]],
    patient: dict[str, str],
    val: set[str],
    test: set[str],
    num_labelled: int | None,
    seed: int,
) -> dict[str, list[dict[str, Any]]]:
    """Divide cases once it is known which patients validate and which test, and log the sizes.

    Args:
        cases: dicts with `case`.
        patient: by case name.
        val: patients of the validation part.
        test: patients of the test part; all others train.
        num_labelled: keep this many training cases, None for all.
        seed: of their draw; fewer are always among more of the same seed.

    Returns:
        `{"train": cases, "val": cases, "test": cases}`, each in the order of `cases`.

    Raises:
        InputError: there are not so many training cases.
    """
    train = [case["case"] for case in cases if patient[case["case"]] not in test | val]
    if num_labelled is not None:
        if not 1 <= num_labelled <= len(train):
            raise InputError(f"num_labelled is {num_labelled}: give 1 to {len(train)}, the number of training cases")
        train = shuffled(set(train), f"labelled {seed}")[:num_labelled]
    chosen = set(train)
    parts = {
        "train": [case for case in cases if case["case"] in chosen],
        "val": [case for case in cases if patient[case["case"]] in val],
        "test": [case for case in cases if patient[case["case"]] in test],
    }
    _log_parts(parts, patient)
    return parts


def _listed_test(split: str, splits_dir: str | Path, patient: dict[str, str]) -> set[str]:
    """Return the patients of a list's test part, none of whom may have a case in its training part."""
    parts = {
        part: {patient[case] for case in names} for part, names in listed_parts(split, splits_dir, patient).items()
    }
    both = sorted(parts["train"] & parts["test"])
    if both:
        raise InputError(f"split {split} has cases of the patient {both[0]} in both train and test: correct the list")
    return parts["test"]


def _patients(cases: list[dict[str, Any]], pattern: str | None) -> dict[str, str]:
    """Return the patient of each case name."""
    names = [case["case"] for case in cases]
    if pattern is None:
        return dict(zip(names, names, strict=True))
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"patient_pattern {pattern!r} is not a regular expression ({error}): correct it") from error
    if compiled.groups < 1:
        raise InputError(f"patient_pattern {pattern!r} has no group: put parentheses around the patient")
    patients = {}
    for name in names:
        found = compiled.search(name)
        if found is None or found[1] is None:
            raise InputError(f"patient_pattern {pattern!r} does not match the case {name}: correct it")
        patients[name] = found[1]
    return patients


def _warn_of_channels(names: set[str]) -> None:
    """Warn of scans named as the channels of one case, which may also be how patients are numbered."""
    for name in sorted(names):
        case = without_channel(name)
        if {f"{case}_0000", f"{case}_0001"} <= names:
            logger.warning(
                "%s_0000 and %s_0001 count as two patients: if they are channels of one, give all --channels, or hold "
                r"them out together by --patient_pattern '(.+?)(_\d{4})?$'",
                case,
                case,
            )
            return


def shuffled(names: set[str], salt: str) -> list[str]:
    """Return the names in an order that follows from them and the salt alone."""
    # by digest: no library's generator can change it, and a case added later moves few others
    return sorted(names, key=lambda name: sha256(f"{salt} {name}".encode(errors="surrogateescape")).digest())


def _log_parts(parts: dict[str, list[dict[str, Any]]], patient: dict[str, str]) -> None:
    """Log how many cases and patients each part has."""
    counts = [f"{part} {len(c)} ({len({patient[i['case']] for i in c})} patients)" for part, c in parts.items()]
    logger.info("cases: %s", ", ".join(counts))
