"""Run a study: every network, initialisation, label budget and seed that it names, through the bundles.

python -m tools.experiment studies/smallest.json --output_dir experiments/smallest
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from scripts.errors import InputError

from ..cli import cli
from ..commands import Knobs, command_line
from ..facts import source_digest
from ..phantoms import make_phantoms
from .child import Runner, claimed, run_child
from .data import data_digest, list_scans
from .expand import Plan, Run, expand
from .places import Places
from .plan_text import describe, describe_end, describe_former
from .records import is_recorded, of_other_code, set_aside, write_record, write_study
from .schedule import exit_code, run_all
from .shards import share
from .study import Study, read_study
from .units import Unit, unit_stages
from .work import DONE, read_result, run_unit


def experiment(
    study: str,
    output_dir: str,
    data_dir: str = "data",
    minutes: float | None = None,
    jobs: int = 1,
    shard: str = "",
    only: str = "*",
    num_workers: int | None = None,
    dry_run: bool = False,
) -> None:
    """Run what is not finished of a study.

    Args:
        study: JSON file, see `studies`.
        output_dir: where everything goes; several studies may share it, and with it pretrainings.
        data_dir: folder of the datasets that the study names.
        minutes: stop after so long; the same command continues.
        jobs: how many trainings run at once.
        shard: "i/n" runs the i-th of n shares, for machines that see nothing of each other.
        only: pattern of the names of runs, such as "*-scratch-*-n10-*".
        num_workers: of every training's data loader; None for the bundle's own.
        dry_run: only say what would run, with the commands; generated data and lists of cases are made before.

    Raises:
        InputError: study, data or an option is wrong.
        SystemExit: 1 if a run failed, 75 if work is left.
    """
    if jobs < 1 or (minutes is not None and minutes <= 0):
        raise InputError(f"jobs {jobs}, minutes {minutes}: give numbers above 0")
    out = Path(output_dir).resolve()
    asked = read_study(study)
    places = Places(out / "data" if asked.generated else Path(data_dir).resolve(), out)
    extra: Knobs = {} if num_workers is None else {"num_workers": num_workers}
    stop = threading.Event()
    code = run_study(asked, places, shard, only, minutes, jobs, extra, dry_run, stop)
    if code:
        raise SystemExit(code)


def run_study(
    study: Study,
    places: Places,
    shard: str = "",
    only: str = "*",
    minutes: float | None = None,
    jobs: int = 1,
    extra: Knobs | None = None,
    dry_run: bool = False,
    stop: threading.Event | None = None,
    run: Runner = run_child,
) -> int:
    """Run what is not finished of a study; see `experiment`.

    Returns:
        0 if all is recorded, 1 if something failed, 75 if something is left.
    """
    stop = stop or threading.Event()
    extra = extra or {}
    prepare_data(study, places)
    plan = expand(study, cache(lambda folder: data_digest(places.data / folder)))
    shared = share(plan, shard)
    if not shared:
        _say(f"share {shard} has no runs: there are fewer groups, whose runs share a pretraining, than shares")
        return 0
    chosen = [run for run in shared if fnmatch(run.name, only)]
    if not chosen:
        raise InputError(f"no run is named {only!r}: there are {plan.runs[0].name} and {len(plan.runs) - 1} more")
    open_runs = [run for run in chosen if not is_recorded(study, run, places)]
    units = {name: plan.units[name] for run in open_runs for name in plan.needed(run)}
    done = {name for name in units if read_result(places, name) is not None}
    rest = {name: unit for name, unit in units.items() if name not in done}
    _say(describe(study, plan, chosen, rest, jobs, places))
    if former := of_other_code(study, plan, chosen, places, source_digest()):
        _say(describe_former(former, places))
    if dry_run:
        _say("\n".join(_commands(rest, places)))
        return 0
    with claimed(places.out / "data.lock", wait=True):
        set_aside(study, plan, places)
    write_study(study, places)
    work = _worker(study, plan, open_runs, places, extra, jobs, len(rest), stop, run)
    timer = threading.Timer((minutes or 0) * 60, stop.set)
    timer.daemon = True
    if minutes is not None:
        timer.start()
    ended = run_all(units, work, done, jobs, stop)
    timer.cancel()
    recorded = sum(write_record(study, plan, run, places) for run in chosen)
    _say(describe_end(ended, chosen, recorded, places))
    return exit_code(ended, len(rest))


def prepare_data(study: Study, places: Places) -> None:
    """Generate the phantoms a study asks for, and list the scans that pretrainings may see; one process at a time."""
    with claimed(places.out / "data.lock", wait=True):
        if study.generated is not None:
            make_phantoms(str(places.data / "phantoms"), **study.generated)
        list_scans(study, places)


def _worker(
    study: Study,
    plan: Plan,
    runs: list[Run],
    places: Places,
    extra: Knobs,
    jobs: int,
    number: int,
    stop: threading.Event,
    run: Runner,
) -> Callable[[Unit], str]:
    """Return what runs a unit, says so, and records the runs that it completes."""
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": threads}
    writing = threading.Lock()
    begun = iter(range(1, number + 1))

    def work(unit: Unit) -> str:
        users = [run.name for run in runs if unit.id in plan.needed(run)]
        _say(
            f"[{next(begun)}/{number}] {unit.id}, for {users[0]}" + (f" and {len(users) - 1} more" if users[1:] else "")
        )
        results = {name: result for name in unit.parents if (result := read_result(places, name)) is not None}
        state = run_unit(unit, places, results, extra, environment, stop, run)
        _say(f"{unit.id}: {state}")
        if state == DONE:
            with writing:
                for one in runs:
                    if one.unit == unit.id:
                        write_record(study, plan, one, places)
        return state

    return work


def _commands(units: dict[str, Unit], places: Places) -> list[str]:
    lines = []
    for unit in units.values():
        if unit.match:
            lines.append(f"{unit.id}: its length follows from {unit.match.pretraining} and {unit.match.training}")
            continue
        for stage in unit_stages(unit, places, {}, {}):
            lines.append(f"{unit.id} {stage.name}: {command_line(stage.command)}")
    return lines


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    cli(experiment, resumes=True)
