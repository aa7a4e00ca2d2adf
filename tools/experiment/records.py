"""One JSON record per run, complete in itself, so that results of several machines merge by copying files."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from functools import partial
from typing import Any

from scripts.files import first_free, read_json_or_none, save_json, write_atomically

from .expand import Plan, Run
from .places import STUDY, Places
from .study import SELF, Study, sources_of
from .units import FINETUNING, PRETRAINING
from .work import read_result


def write_study(study: Study, places: Places) -> None:
    """Put the study beside its records, for the report's titles and order."""
    save_json(asdict(study), places.records(study.name) / STUDY)


def set_aside(study: Study, plan: Plan, places: Places) -> None:
    """Move the records of trainings that the study no longer has, or has with other settings or data, into `former`.

    No report looks there.
    """
    folder = places.records(study.name)
    units = {run.name: run.unit for run in plan.runs}
    for path in sorted(folder.glob("[!.]*.json")):
        record = read_json_or_none(path) or {}
        if record.get("kind") == FINETUNING and record["id"] != units.get(path.stem):
            target = first_free(folder / "former" / f"{path.stem}-", ".json")
            target.parent.mkdir(exist_ok=True)
            path.rename(target)


def is_recorded(study: Study, run: Run, places: Places) -> bool:
    """Tell whether a run has the record of this very training, made here or copied from another machine."""
    record = read_json_or_none(places.records(study.name) / f"{run.name}.json")
    return record is not None and record["id"] == run.unit


def of_other_code(study: Study, plan: Plan, runs: list[Run], places: Places, code: str) -> list[str]:
    """Return the ids of what is finished of some runs, here or on another machine, by code that is not this.

    Args:
        study: whose records count.
        plan: all of it.
        runs: whose units are meant.
        places: where.
        code: digest of the code as it is now.
    """
    found = []
    for run in runs:
        for name in plan.needed(run):
            copied = places.records(study.name) / f"{run.name if name == run.unit else name}.json"
            result = read_result(places, name) or read_json_or_none(copied) or {}
            if result.get("id") == name and result.get("code") != [code]:
                found.append(name)
    return list(dict.fromkeys(found))


def write_record(study: Study, plan: Plan, run: Run, places: Places) -> bool:
    """Write the record of a run, and of the pretraining it needed, if it is finished and not recorded yet.

    Returns:
        Whether there is a record now.
    """
    if is_recorded(study, run, places):
        return True
    record = _record(run, plan, places)
    if record is None:
        return False
    for name in plan.needed(run):
        if plan.units[name].kind == PRETRAINING:
            _write_pretraining(study, name, next(one for one in plan.runs if name in plan.needed(one)), places)
    save_json({"study": study.name, **run.labels, **record}, places.records(study.name) / f"{run.name}.json")
    return True


def _record(run: Run, plan: Plan, places: Places) -> dict[str, Any] | None:
    result = read_result(places, run.unit)
    if result is None:
        return None
    unit = plan.units[run.unit]
    spent = [read_result(places, name) for name in plan.needed(run) if plan.units[name].kind == PRETRAINING]
    known = [pretraining for pretraining in spent if pretraining is not None]
    keys = ("id", "steps", "timing", "device", "code", "commands")
    result["pretraining"] = {key: known[0].get(key) for key in keys} if unit.pretrained and known else None
    return result


def _write_pretraining(study: Study, name: str, run: Run, places: Places) -> None:
    """Write a pretraining's record, labelled by the first run that needs it, and its pictures beside the runs'."""
    result, folder = read_result(places, name), places.records(study.name)
    if result is None or (folder / f"{name}.json").exists():
        return
    pictures = []
    for number, picture in enumerate(sorted(places.training(name).glob("pictures/**/*.png")), 1):
        copy = f"{name}-{number}.png"
        write_atomically(folder / copy, partial(shutil.copyfile, picture))
        pictures.append(copy)
    labels = {key: run.labels[key] for key in ("network", "variant", "seed")}
    own = f"{SELF} ({run.labels['dataset']}, fold {run.labels['fold']})"
    several = len(study.datasets) > 1 or len(study.folds) > 1
    sources = [
        own if source == SELF and several else source
        for source in sources_of(study.initialisations[run.labels["initialisation"]])
    ]
    save_json(
        {"study": study.name, **labels, "pretrain_on": " + ".join(sources), **result, "pictures": pictures},
        folder / f"{name}.json",
    )
