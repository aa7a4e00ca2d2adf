"""The records of an experiment, grouped into arms: what differs only by seed belongs together."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.errors import InputError

from ..experiment.places import STUDY
from ..experiment.study import sources_of

KEYS = ("dataset", "network", "initialisation", "variant", "budget")
COMPARED_RULE = (
    "Where one training marks a class that is not there and another rightly leaves it empty, the empty answer scores "
    "DSC 1 in the comparison of both."
)
Record = dict[str, Any]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """The runs of one row of a table, by seed.

    Attributes:
        key: dataset, network, initialisation, variant and budget.
        runs: records by seed and fold.
    """

    key: tuple[Any, ...]
    runs: dict[tuple[int, int], Record]

    @property
    def dataset(self) -> str:
        """The labelled dataset."""
        return str(self.key[0])

    @property
    def group(self) -> tuple[Any, ...]:
        """What must be equal for two arms to be compared: dataset, network and budget."""
        return self.key[0], self.key[1], self.key[4]

    @property
    def initialisation(self) -> str:
        """Where the weights start."""
        return str(self.key[2])

    @property
    def variant(self) -> str:
        """Which knobs differ."""
        return str(self.key[3])

    @property
    def budget(self) -> int | None:
        """Number of labelled cases, None for all."""
        return None if self.key[4] is None else int(self.key[4])

    @property
    def label(self) -> str:
        """Name in tables and figures."""
        parts = [str(self.key[1]), self.initialisation, *([] if self.variant == "default" else [self.variant])]
        return " · ".join(part.replace("_", " ") for part in parts)

    @property
    def pattern(self) -> str:
        """Pattern of its runs' names, see `tools.experiment --only`."""
        amount = "all" if self.budget is None else self.budget
        return f"{'-'.join(str(part) for part in self.key[:4])}-n{amount}-*"


@dataclass(frozen=True)
class Results:
    """A study with the records there are."""

    study: dict[str, Any]
    arms: list[Arm]
    pretrainings: list[Record]
    folder: Path

    def reference(self, arm: Arm) -> Arm | None:
        """Return the arm with which another is compared, if it was run.

        It is of the same variant where the study has one, else of the first: what differs in pretraining alone makes no
        other training from scratch.
        """
        name = self.study["reference"]
        variant = self.study["variants"][arm.variant]
        changed = variant.get("finetuning") or (
            variant.get("pretraining") and sources_of(self.study["initialisations"][name])
        )
        own = bool(changed) and name in variant.get("only_for", [name])
        wanted = arm.variant if own else next(iter(self.study["variants"]))
        found = [a for a in self.arms if (a.group, a.initialisation, a.variant) == (arm.group, name, wanted)]
        return found[0] if found and found[0] is not arm else None


def read_results(folder: Path) -> list[Results]:
    """Read every study's records below a folder.

    Raises:
        InputError: there is none, or a study lies there in parts.
    """
    found = [_read_study(path.parent) for path in sorted(folder.rglob(STUDY))]
    for name, number in Counter(results.study["name"] for results in found).items():
        if number > 1:
            raise InputError(f"{folder} holds {number} parts of {name}: copy their records into one folder first")
    if not any(results.arms for results in found):
        raise InputError(f"{folder} holds no records: name the --output_dir of a python -m tools.experiment")
    return [results for results in found if results.arms]


def _read_study(folder: Path) -> Results:
    study = json.loads((folder / STUDY).read_text())
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("[!.]*.json")) if path.name != STUDY]
    arms: dict[tuple[Any, ...], Arm] = {}
    asked = (study["seeds"], study["folds"])  # an edited study leaves the records of what it no longer asks for
    trainings = [record for record in records if record["kind"] == "finetuning"]
    for record in (one for one in trainings if one["seed"] in asked[0] and one["fold"] in asked[1]):
        key = tuple(record[name] for name in KEYS)
        arms.setdefault(key, Arm(key, {})).runs[record["seed"], record["fold"]] = record
    orders = [list(study[name]) for name in ("datasets", "networks", "initialisations", "variants", "budgets")]
    known = [arm for arm in arms.values() if all(part in order for part, order in zip(arm.key, orders, strict=True))]
    known.sort(key=lambda arm: [orders[i].index(arm.key[i]) for i in (0, 1, 4, 3, 2)])
    runs = [record for arm in known for record in arm.runs.values()]
    used = {record["pretraining"]["id"] for record in runs if record["pretraining"]}
    pretrainings = [record for record in records if record["kind"] == "pretraining" and record["id"] in used]
    pretrainings.sort(key=lambda record: [record[key] for key in ("network", "pretrain_on", "variant", "seed")])
    return Results(study, known, pretrainings, folder)


def case_scores(record: Record, metric: str) -> dict[str, float]:
    """Return each test case's mean over the reported classes; a case of which no class counts is left out."""
    return _case_means({key: value for key, value in _class_scores(record, metric).items() if value is not None})


def paired_dice(records: list[Record]) -> list[dict[str, float]]:
    """Return each record's test cases' mean Dice over the reported classes that count in any of them.

    Only cases that all have; see `COMPARED_RULE`.
    """
    scores, counted = _dice_that_counts(records)
    return [_case_means({key: _or_one(one[key]) for key in counted}) for one in scores]


def right_empty_cases(records: list[Record]) -> int:
    """Return the number of test cases in which `COMPARED_RULE` gives some of the records a Dice of 1."""
    scores, counted = _dice_that_counts(records)
    return len({case for case, name in counted if any(one[case, name] is None for one in scores)})


def shared_runs(arms: list[Arm]) -> list[tuple[int, int]]:
    """Return the seeds and folds that all of some arms have been run with."""
    return sorted(set.intersection(*(set(arm.runs) for arm in arms)))


def shared_records(arms: list[Arm]) -> list[Record]:
    """Return the records of some arms, one arm after the other, of the seeds and folds that all have."""
    return [arm.runs[run] for arm in arms for run in shared_runs(arms)]


def codes_of(records: list[Record]) -> list[str]:
    """Return the digests of the code by which some records and their pretrainings were made."""
    parts = [part for record in records for part in (record, record["pretraining"]) if part]
    return sorted({" + ".join(part.get("code") or ["unknown"]) for part in parts})


def own_scores(arm: Arm, metric: str) -> Scores:
    """Return an arm's (seeds, cases) array, NaN where a case does not count in any fold of a seed."""
    scores = {run: case_scores(record, metric) for run, record in arm.runs.items()}
    cases = sorted(set().union(*scores.values()))
    return _by_seed(scores, cases)


def score_table(arms: list[Arm]) -> list[Scores]:
    """Return one (seeds, cases) array of Dice per arm, of the seeds, folds and cases that all of them have.

    Raises:
        InputError: they share none.
    """
    runs = shared_runs(arms)
    if not runs:
        raise InputError(f"{arms[0].label} and {arms[-1].label} share no seed: run the same seeds of both")
    scores = paired_dice(shared_records(arms))
    cases = sorted(scores[0])
    if not cases:
        raise InputError(
            f"{arms[0].label} and {arms[-1].label} share no test case that counts: they are of different splits, or "
            "all masks are empty"
        )
    parts = [scores[start : start + len(runs)] for start in range(0, len(scores), len(runs))]
    return [_by_seed(dict(zip(runs, part, strict=True)), cases) for part in parts]


def mean_counted(scores: Scores, axis: int) -> Scores:
    """Return the mean of what is not NaN, NaN where there is nothing."""
    return np.asarray(np.ma.masked_invalid(scores).mean(axis=axis).filled(np.nan))


def _by_seed(scores: dict[tuple[int, int], dict[str, float]], cases: list[str]) -> Scores:
    """Return a (seeds, cases) array of what was scored by seed and fold.

    Folds of one seed are averaged: they share the pretraining and most training cases, so they are no trainings of
    their own.
    """
    seeds = sorted({seed for seed, _ in scores})
    tables = [[[one.get(case, np.nan) for case in cases] for run, one in scores.items() if run[0] == s] for s in seeds]
    return np.array([mean_counted(np.array(table), axis=0) for table in tables])


def _class_scores(record: Record, metric: str) -> dict[tuple[str, str], float | None]:
    """Return the scores of the reported classes by case and class, None where one does not count."""
    reported = record.get("reported_classes")
    rows = (row for row in record["cases"] if reported is None or row["class"] in reported)
    return {(row["case"], row["class"]): row[metric] for row in rows}


def _dice_that_counts(
    records: list[Record],
) -> tuple[list[dict[tuple[str, str], float | None]], list[tuple[str, str]]]:
    """Return the Dice of each record, and the cases and classes that all have and that count in any."""
    scores = [_class_scores(record, "dsc") for record in records]
    shared = [key for key in scores[0] if all(key in one for one in scores)]
    return scores, [key for key in shared if any(one[key] is not None for one in scores)]


def _or_one(score: float | None) -> float:
    return 1.0 if score is None else score


def _case_means(scores: dict[tuple[str, str], float]) -> dict[str, float]:
    by_case: dict[str, list[float]] = {}
    for (case, _), score in scores.items():
        by_case.setdefault(case, []).append(score)
    return {case: float(np.mean(values)) for case, values in by_case.items()}
