"""What a finished unit of work found, gathered from the files that the bundles wrote."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..curves import Curve, read_curves
from ..facts import device_name, git_revision, versions
from ..overrides import effective_config
from .units import COST, PRETRAINING, Unit

METRIC = {"pretraining": "val_reconstruction_error", "finetuning": "val_mean_dice"}


def unit_result(unit: Unit, folder: Path, timing: dict[str, Any], commands: list[list[str]]) -> dict[str, Any]:
    """Return a unit's result; all that may differ between two equal runs is under `timing`.

    Args:
        unit: what was run.
        folder: where.
        timing: seconds, processor seconds and attempts by stage.
        commands: as run, named for any machine.
    """
    result: dict[str, Any] = {
        "id": unit.id,
        "kind": unit.kind,
        "bundle": unit.bundle,
        "config": unit.config,
        "data": unit.data,
        "commands": commands,
        "device": device_name(),
        "code": _code_of(timing),
        "versions": versions() | {"revision": git_revision() or "not a git checkout"},
        "timing": timing | {"finished": datetime.now().astimezone().isoformat(timespec="seconds")},
    }
    if unit.kind == COST:
        return result | {"flops_per_step": json.loads((folder / "cost.json").read_text())["flops_per_step"]}
    result |= _learning(unit, folder, commands[0])
    if unit.kind == PRETRAINING:
        reconstruction = json.loads((folder / "evaluation" / "reconstruction.json").read_text())
        return result | {"reconstruction": {key: reconstruction[key] for key in ("mean", "cases")}}
    scores = json.loads((folder / "evaluation" / "metrics.json").read_text())
    keys = ("part", "nsd_tolerance_mm", "empty_rule", "reported_classes", "cases")
    return result | {key: scores[key] for key in keys}


def _code_of(timing: dict[str, Any]) -> list[str]:
    """Return digests of the code that ran a unit's stages, several where it changed in between."""
    return list(dict.fromkeys(code for stage in timing.values() for code in stage.get("code", ["unknown"])))


def _learning(unit: Unit, folder: Path, command: list[str]) -> dict[str, Any]:
    """Return length and curves of a training: the metric at every validation, the loss as its mean over each epoch."""
    config = effective_config(unit.bundle, list(unit.configs), unit.knobs)
    per_epoch = config["steps_per_epoch"]
    epochs = int(command[command.index("--max_epochs") + 1]) if "--max_epochs" in command else config["max_epochs"]
    curves = read_curves(folder / "training")
    metric = METRIC[unit.kind]
    return {
        "steps": epochs * per_epoch,
        "curve": {"metric": metric, **_plain(curves.get(metric), per_epoch)},
        "loss": _plain(_per_epoch(curves.get("train_loss"), per_epoch), per_epoch),
    }


def _plain(curve: Curve | None, per_epoch: int) -> dict[str, list[Any]]:
    """Return a curve over epochs as lists over steps; a value that is no number is None."""
    if curve is None:
        return {"steps": [], "values": []}
    steps, values = curve
    return {
        "steps": [int(step) * per_epoch for step in steps],
        "values": [float(value) if math.isfinite(value) else None for value in values],
    }


def _per_epoch(curve: Curve | None, per_epoch: int) -> Curve | None:
    """Return the means of a curve's values over epochs."""
    if curve is None:
        return None
    steps, values = curve
    epochs = (steps - 1) // per_epoch + 1
    numbers = np.unique(epochs)
    return numbers, np.array([values[epochs == number].mean() for number in numbers])
