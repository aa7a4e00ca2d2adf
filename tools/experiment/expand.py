"""A study's runs, and the units of work they share."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from scripts.errors import InputError

from ..commands import EVERY_SCAN, Knobs
from ..overrides import digest, effective_config
from .data import scans_of
from .study import SELF, Study, sources_of
from .units import COST, FINETUNING, PRETRAINING, Match, Unit, lengthened, unit_steps

DIVISION = ("test_fraction", "split_seed", "num_folds", "patient_pattern", "split")
NO_COST = ("seed", "fold", "num_labelled", "subset_seed", "max_epochs", *EVERY_SCAN)


@dataclass(frozen=True)
class Run:
    """One number to be: a training and its place in the study.

    Attributes:
        name: of its record.
        labels: dataset, network, initialisation, variant, budget, seed and fold.
        unit: id of its training.
    """

    name: str
    labels: dict[str, Any]
    unit: str


@dataclass
class Plan:
    """All runs of a study and the units they need, each after those it needs itself."""

    runs: list[Run]
    units: dict[str, Unit]

    def add(self, unit: Unit) -> str:
        """Take up a unit, once; return its id."""
        content = asdict(unit) | {"knobs": None, "dataset": None}  # config and data stand for them
        named = replace(unit, id=f"{unit.kind}-{digest(content)}")
        self.units.setdefault(named.id, named)
        return named.id

    def needed(self, run: Run) -> list[str]:
        """Return the ids of a run's unit and of all it needs, first things first."""
        found: list[str] = []

        def visit(name: str) -> None:
            for parent in self.units[name].parents:
                visit(parent)
            found.append(name)

        visit(run.unit)
        return list(dict.fromkeys(found))


def expand(study: Study, data: Callable[[str], str]) -> Plan:
    """List the runs of a study; seed by seed, so that early ones already say something.

    A variant that changes nothing for an initialisation, such as a mask ratio for training from scratch, adds no run.

    Args:
        study: what to compare.
        data: hash of the dataset in a folder below the data folder.

    Raises:
        InputError: a bundle, config or knob does not exist.
    """
    plan = Plan([], {})
    taken: set[tuple[object, ...]] = set()
    axes = (study.seeds, study.folds, study.datasets, study.networks, study.variants, study.budgets)
    for seed, fold, dataset, network, variant, budget in itertools.product(*axes):
        for initialisation in study.initialisations:
            if initialisation not in study.variants[variant].get("only_for", study.initialisations):
                continue
            labels = {"dataset": dataset, "network": network, "initialisation": initialisation, "variant": variant}
            labels |= {"budget": budget, "seed": seed, "fold": fold}
            unit = _finetuning(plan, study, data, labels)
            same = (*(value for key, value in labels.items() if key != "variant"), unit)
            if same not in taken:
                taken.add(same)
                amount = "all" if budget is None else budget
                name = f"{dataset}-{network}-{initialisation}-{variant}-n{amount}-seed{seed}-fold{fold}"
                plan.runs.append(Run(name, labels, unit))
    return plan


def _finetuning(plan: Plan, study: Study, data: Callable[[str], str], labels: dict[str, Any]) -> str:
    dataset, network = study.datasets[labels["dataset"]], study.networks[labels["network"]]
    initialisation, variant = study.initialisations[labels["initialisation"]], study.variants[labels["variant"]]
    knobs: Knobs = {**network.get("knobs", {}), **dataset.get("knobs", {}), **variant.get("finetuning", {})}
    knobs |= initialisation.get("knobs", {}) | {"seed": labels["seed"], "fold": labels["fold"]}
    if labels["budget"] is not None:
        knobs["num_labelled"] = labels["budget"]
        if study.subset_per_seed:
            knobs["subset_seed"] = labels["seed"]
    folder = dataset["folder"]
    bundle, configs = dataset["bundle"], network.get("configs", [])
    unit = _unit(FINETUNING, bundle, configs, knobs, f"DATA/{folder}", data(folder))
    if SELF in sources_of(initialisation):
        _check_division(study, dataset, effective_config(bundle, configs, knobs))
    if not sources_of(initialisation):
        return plan.add(unit)
    pretraining = _pretraining(study, data, labels)
    match = initialisation.get("match")
    if match is None:
        return plan.add(replace(unit, pretrained=plan.add(pretraining)))
    steps, spent = unit_steps(unit), unit_steps(pretraining)
    if match == "steps":
        longer = knobs | {"max_epochs": lengthened(unit, steps, spent)}
        return plan.add(_unit(FINETUNING, bundle, configs, longer, unit.dataset, unit.data))
    costs = [pretraining, unit] if match == "seconds" else [_cost(pretraining), _cost(unit)]
    first, second = (plan.add(cost) for cost in costs)
    return plan.add(replace(unit, match=Match(match, first, second, spent, steps)))


def _pretraining(study: Study, data: Callable[[str], str], labels: dict[str, Any]) -> Unit:
    sources = sources_of(study.initialisations[labels["initialisation"]])
    entry = study.networks[labels["network"]]["pretraining"]
    knobs: Knobs = dict(entry.get("knobs", {}))
    contents = []
    for source in sources:
        if source == SELF:
            dataset = study.datasets[labels["dataset"]]
            knobs |= EVERY_SCAN
            contents.append(digest([data(dataset["folder"]), labels["fold"], list(_division(dataset).values())]))
        else:
            knobs |= study.unlabelled[source].get("knobs", {})
            contents.append(data(study.unlabelled[source]["folder"]))
    content = contents[0] if len(contents) == 1 else digest(contents)
    scans = scans_of(study, sources, labels["dataset"], labels["fold"])
    seed = labels["seed"] if study.pretraining_seed is None else study.pretraining_seed
    knobs |= study.variants[labels["variant"]].get("pretraining", {}) | {"seed": seed}
    unit = _unit(PRETRAINING, entry["bundle"], entry.get("configs", []), knobs, scans, content)
    return replace(unit, pictures=study.pictures)


def _division(dataset: dict[str, Any]) -> Knobs:
    """Return what decides which images of a labelled dataset train, but for the fold."""
    config = effective_config(dataset["bundle"], [], dataset.get("knobs", {}))
    return {key: config[key] for key in DIVISION}


def _check_division(study: Study, dataset: dict[str, Any], config: dict[str, Any]) -> None:
    """Refuse a training that divides its data otherwise than the pretraining on "self" is told to."""
    for key, value in _division(dataset).items():
        if config[key] != value:
            raise InputError(
                f"{study.file}: {key} is {config[key]!r} in a training and {value!r} by its dataset's knobs, so the "
                f"pretraining on {SELF!r} would see what validates or tests: give {key} in the dataset's knobs"
            )


def _cost(unit: Unit) -> Unit:
    knobs = {key: value for key, value in unit.knobs.items() if key not in NO_COST}
    return _unit(COST, unit.bundle, list(unit.configs), knobs, "", "")


def _unit(kind: str, bundle: str, configs: list[str], knobs: Knobs, dataset: str, data: str) -> Unit:
    config = digest(effective_config(bundle, configs, knobs))
    return Unit("", kind, bundle, tuple(configs), knobs, dataset, config, data)
