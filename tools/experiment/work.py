"""One unit of work, from where it was left to its result."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.files import read_json_or_none, save_json

from ..commands import Knobs
from ..facts import source_digest
from .child import Runner, claimed
from .places import Places
from .results import unit_result
from .units import Stage, Unit, unit_stages

DONE, STOPPED, FAILED, BUSY = "done", "stopped", "failed", "busy"
RESULT, TIMING = "result.json", "timing.json"


def run_unit(
    unit: Unit,
    places: Places,
    results: Mapping[str, dict[str, Any]],
    extra: Knobs,
    environment: dict[str, str],
    stop: threading.Event,
    run: Runner,
) -> str:
    """Run what is missing of a unit.

    Args:
        unit: what to run.
        places: where.
        results: of its parents.
        extra: knobs of this machine that change no result.
        environment: variables for its commands.
        stop: when set, the running command is stopped; a training goes on from its last epoch next time.
        run: runs a command.

    Returns:
        "done", "stopped", "failed", or "busy" where another process is at it.
    """
    folder = places.training(unit.id)
    with claimed(folder / "lock") as lock:
        if lock is None:
            return BUSY
        if (folder / RESULT).exists():  # another process has just finished it
            return DONE
        stages = unit_stages(unit, places, results, extra)
        for stage in stages:
            if read_timing(folder).get(stage.name, {}).get("done"):
                continue
            code = _run_stage(stage, folder, environment, stop, run, lock)
            if stop.is_set() and code:
                return STOPPED
            if code:
                save_json({"stage": stage.name, "exit_code": code}, folder / "failure.json")
                return FAILED
        (folder / "failure.json").unlink(missing_ok=True)
        commands = [places.portable(stage.command) for stage in stages]
        save_json(unit_result(unit, folder, read_timing(folder), commands), folder / RESULT)
        for name in ("training_state.pt", "model_final.pt"):  # many runs; what is used later is the best model
            (folder / "models" / name).unlink(missing_ok=True)
    return DONE


def _run_stage(
    stage: Stage, folder: Path, environment: dict[str, str], stop: threading.Event, run: Runner, lock: int
) -> int:
    """Run a command and add its time to the unit's; return its exit code."""
    if stage.name != "training":
        shutil.rmtree(folder / stage.name, ignore_errors=True)  # half of an interrupted one would mix with the new
    if stage.prepare:
        stage.prepare()
    timing = read_timing(folder)
    former = timing.get(stage.name, {"seconds": 0.0, "cpu_seconds": 0.0, "attempts": 0, "timed": 0})
    before = former.get("code", ["unknown"] if former["attempts"] else [])
    code = list(dict.fromkeys([*before, source_digest()]))  # several where it changed in between
    # an attempt that is killed together with this tool leaves its number here, without its time
    timing[stage.name] = former | {"attempts": former["attempts"] + 1, "done": False, "code": code}
    save_json(timing, folder / TIMING)
    start = time.monotonic()
    ended = run(stage.command, folder / "log.txt", stop, environment, lock)
    timing[stage.name] |= {
        "seconds": round(former["seconds"] + time.monotonic() - start, 2),
        "cpu_seconds": round(former["cpu_seconds"] + ended.cpu_seconds, 2),
        "timed": former.get("timed", 0) + 1,
        "done": ended.code == 0,
    }
    save_json(timing, folder / TIMING)
    return ended.code


def read_timing(folder: Path) -> dict[str, Any]:
    """Return the time a unit's stages took so far, with interrupted attempts."""
    return read_json_or_none(folder / TIMING) or {}


def read_result(places: Places, name: str) -> dict[str, Any] | None:
    """Return a unit's result, or None where it is not finished."""
    return read_json_or_none(places.training(name) / RESULT)
