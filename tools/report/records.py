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
    values: dict[str, list[float]] = {}
    reported = record.get("reported_classes")
    for row in record["cases"]:
        if row[metric] is not None and (reported is None or row["class"] in reported):
            values.setdefault(row["case"], []).append(row[metric])
    return {case: float(np.mean(scores)) for case, scores in values.items()}


def shared_runs(arms: list[Arm]) -> list[tuple[int, int]]:
    """Return the seeds and folds that all of some arms have been run with."""
    return sorted(set.intersection(*(set(arm.runs) for arm in arms)))


def score_table(arms: list[Arm], metric: str) -> list[Scores]:
    """Return one (seeds, cases) array per arm, of the seeds, folds and cases that all of them have.

    Folds of one seed are averaged: they share the pretraining and most training cases, so they are no trainings of
    their own.

    Raises:
        InputError: they share none.
    """
    runs = shared_runs(arms)
    if not runs:
        raise InputError(f"{arms[0].label} and {arms[-1].label} share no seed: run the same seeds of both")
    scores = [{run: case_scores(arm.runs[run], metric) for run in runs} for arm in arms]
    cases = sorted(set.intersection(*(set(one) for by_run in scores for one in by_run.values())))
    if not cases:
        raise InputError(f"{arms[0].label} and {arms[-1].label} share no test case: they are of different splits")
    seeds = sorted({seed for seed, _ in runs})

    def mean_over_folds(by_run: dict[tuple[int, int], dict[str, float]], seed: int) -> list[float]:
        folds = [by_run[run] for run in runs if run[0] == seed]
        return [float(np.mean([fold[case] for fold in folds])) for case in cases]

    return [np.array([mean_over_folds(by_run, seed) for seed in seeds]) for by_run in scores]
