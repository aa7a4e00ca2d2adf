"""The units of work, each a training with its evaluation (or the counting of its cost), and their commands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scripts.errors import InputError

from ..commands import Knobs, bundle_command, tool_command
from ..held_out import list_held_out
from ..overrides import effective_config
from .places import Places

PRETRAINING, FINETUNING, COST = "pretraining", "finetuning", "cost"


@dataclass(frozen=True)
class Match:
    """How much longer a training from scratch takes than fine-tuning, for the compute that pretraining took.

    Attributes:
        by: "flops" or "seconds".
        pretraining: id of the unit that says what pretraining costs.
        training: id of the unit that says what this training costs without the addition.
        pretraining_steps: length of the pretraining.
        steps: length of this training without the addition.
    """

    by: str
    pretraining: str
    training: str
    pretraining_steps: int
    steps: int


@dataclass(frozen=True)
class Unit:
    """One piece of work, shared by all runs that need it.

    Attributes:
        id: follows from everything that decides the result.
        kind: "pretraining", "finetuning" or "cost".
        bundle: folder below `bundles`.
        configs: overlays of its train.json.
        knobs: overrides.
        dataset: where the data is, see `Places.real`.
        config: hash of the bundle's configuration with overlays and knobs.
        data: hash of the data.
        pretrained: id of the pretraining it starts from.
        match: lengthens the training.
        pictures: number of held-out scans to draw.
    """

    id: str
    kind: str
    bundle: str
    configs: tuple[str, ...]
    knobs: Knobs
    dataset: str
    config: str
    data: str
    pretrained: str | None = None
    match: Match | None = None
    pictures: int = 0

    @property
    def parents(self) -> tuple[str, ...]:
        """The units that must be finished before."""
        matched = (self.match.pretraining, self.match.training) if self.match else ()
        return (*([self.pretrained] if self.pretrained else []), *matched)


@dataclass(frozen=True)
class Stage:
    """One command of a unit, and what must be gathered before it."""

    name: str
    command: list[str]
    prepare: Callable[[], None] | None = None


def unit_stages(unit: Unit, places: Places, results: Mapping[str, dict[str, Any]], extra: Knobs) -> list[Stage]:
    """List the commands of a unit.

    Args:
        unit: what to run.
        places: where.
        results: of its parents.
        extra: knobs of this machine that change no result, such as num_workers.
    """
    folder = places.training(unit.id)
    if unit.kind == COST:
        return [Stage("cost", _cost_command(unit, folder))]
    knobs = unit.knobs | extra | ({"max_epochs": matched_epochs(unit, results)} if unit.match else {})
    weights: Knobs = {"ckpt_dir": folder / "models"}
    source: Knobs = {"dataset_dir": places.real(unit.dataset), "cache_dir": places.out / "cache"}
    start: Knobs = {}
    if unit.pretrained:
        start = {"pretrained": places.training(unit.pretrained) / "models" / "model.pt"}

    def command(name: str, configs: list[str], *parts: Knobs) -> list[str]:
        given: Knobs = {key: value for part in parts for key, value in part.items()}
        return bundle_command(unit.bundle, [*configs, *unit.configs], given | {"output_dir": folder / name})

    train = command("training", ["train"], source, knobs, start, weights, {"resume": True})
    evaluate = command("evaluation", ["train", "evaluate"], source, knobs, weights)
    stages = [Stage("training", train), Stage("evaluation", evaluate)]
    if unit.kind == PRETRAINING and unit.pictures:
        scans, report = folder / "scans.json", folder / "evaluation" / "reconstruction.json"
        channels = len(effective_config(unit.bundle, list(unit.configs), unit.knobs)["channels"])
        gather = partial(list_held_out, report, places.real(unit.dataset), unit.pictures, scans, channels)
        kept = {key: v for key, v in unit.knobs.items() if key == "spacing" or key.startswith("network_def#")}
        infer = command("pictures", ["inference"], {"dataset_dir": scans}, kept, weights)
        stages.append(Stage("pictures", infer, gather))
    return stages


def matched_epochs(unit: Unit, results: Mapping[str, dict[str, Any]]) -> int:
    """Return the epochs of a training that may take as much as pretraining and fine-tuning together."""
    assert unit.match is not None
    match = unit.match
    spent, own = (results[name] for name in (match.pretraining, match.training))
    if match.by == "flops":
        added = match.pretraining_steps * spent["flops_per_step"] / own["flops_per_step"]
    else:
        added = match.steps * computing_seconds(spent) / computing_seconds(own)
    return lengthened(unit, match.steps, added)


def unit_steps(unit: Unit) -> int:
    """Return the steps of a training by its own knobs, before it is lengthened; none of the counting of a cost.

    Raises:
        InputError: if they are no whole numbers, such as expressions that only the run resolves.
    """
    if unit.kind == COST:
        return 0
    config = effective_config(unit.bundle, list(unit.configs), unit.knobs)
    epochs, steps = config["max_epochs"], config["steps_per_epoch"]
    if not isinstance(epochs, int) or not isinstance(steps, int):
        raise InputError(f"{unit.bundle}: max_epochs {epochs} x steps_per_epoch {steps}: give whole numbers")
    return epochs * steps


def lengthened(unit: Unit, steps: int, added: float) -> int:
    """Return epochs for that many steps, rounded up to a validation."""
    config = effective_config(unit.bundle, list(unit.configs), unit.knobs)
    interval = config["steps_per_epoch"] * config["val_interval"]
    return int(config["val_interval"]) * math.ceil((steps + added) / interval)


def computing_seconds(result: dict[str, Any]) -> float:
    """Return the training's seconds on a GPU, or its processor seconds, which others on the machine do not change.

    Raises:
        InputError: if an attempt was killed before its time was taken.
    """
    timing = result["timing"]["training"]
    if timing.get("timed", 0) < timing["attempts"]:
        raise InputError(
            f"{result['id']} was killed with the experiment once, so its seconds are unknown: match by flops, or "
            "remove its folder in trainings and run it again"
        )
    return float(timing["cpu_seconds"] if result["device"].startswith("CPU") else timing["seconds"])


def _cost_command(unit: Unit, folder: Path) -> list[str]:
    options: Knobs = {"preset": "+".join(unit.configs), "flops": True, **unit.knobs}
    options["output_file"] = folder / "cost.json"
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return tool_command("tools.measure", unit.bundle, *words)
