"""Division of X-rays into training, validation and test, patient by patient."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from .splits import check_fractions, divided, first_share, shuffled


def split_xrays(
    cases: list[dict[str, Any]],
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    num_labelled: int | None = None,
    subset_seed: int | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Take the official test part, or draw one by seed, and carve a validation part out of the rest.

    Args:
        cases: dicts with `case` and `patient`, and `part` where there are official lists.
        val_fraction: share of the remaining patients to validate on, at least one.
        test_fraction: share of patients to test on, used where labelled cases come without lists; a plain folder
            has no test part.
        seed: of both draws; pretraining and fine-tuning with the same one leave out the same patients.
        num_labelled: keep this many training images, None for all; fewer are always among more.
        subset_seed: another one keeps other training images of the same parts; None for `seed`.

    Returns:
        `{"train": cases, "val": cases, "test": cases}`, each in the order of `cases`.

    Raises:
        InputError: a share or number is out of range, or the patients are too few.
    """
    check_fractions(val_fraction=val_fraction, test_fraction=test_fraction)
    patient = {case["case"]: case["patient"] for case in cases}
    ordered = shuffled(set(patient.values()), f"patients {seed}")
    if any("part" in case for case in cases):
        tested = {case["patient"] for case in cases if case["part"] == "test"}
    else:
        labelled = any("label" in case for case in cases)
        tested = first_share(ordered, test_fraction) if labelled else set()
    rest = [name for name in ordered if name not in tested]
    if len(rest) < 2:
        raise InputError(f"{len(rest)} patients outside the test are too few: give two at least, to train and validate")
    val = set(rest[: min(max(1, round(val_fraction * len(rest))), len(rest) - 1)])
    return divided(cases, patient, val, tested, num_labelled, seed if subset_seed is None else subset_seed)
