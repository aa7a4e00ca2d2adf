"""What a study is about to do, said before it does it; and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from scripts.files import read_json_or_none

from ..commands import shown
from ..facts import device_name
from ..logs import last_lines
from .expand import Plan, Run
from .places import Places
from .study import Study
from .units import PRETRAINING, Unit, unit_steps
from .work import FAILED


def describe(study: Study, plan: Plan, chosen: Sequence[Run], units: Mapping[str, Unit], jobs: int, out: Places) -> str:
    """Say what will run, on what and where.

    Args:
        study: what is asked.
        plan: all of it.
        chosen: the runs asked for.
        units: those of their units that are not finished.
        jobs: how many run at once.
        out: where.
    """
    kinds = Counter(unit.kind for unit in units.values())
    steps = sum(unit_steps(unit) for unit in units.values())
    longer = any(unit.match for unit in units.values())
    lines = [
        f"study       {study.title}",
        f"runs        {len(chosen)} of {len(plan.runs)}: {_axes(chosen)}",
        f"to do       {kinds[PRETRAINING]} pretrainings, {kinds['finetuning']} trainings with evaluation",
        f"steps       {steps:,}" + (", and those that are added to match compute" if longer else ""),
        f"device      {device_name()}, {jobs} at once",
        f"data        {shown(out.data)}",
        f"records     {shown(out.records(study.name))}",
    ]
    return "\n".join(lines)


def describe_former(names: Sequence[str], out: Places) -> str:
    """Warn of what was finished by other code, or by code of which nothing is known, and say what to do."""
    more = f" and {len(names) - 3} more" if names[3:] else ""
    return (
        f"warning: bundles/scripts is not the code by which these were finished: {', '.join(names[:3])}{more}. They "
        f"are kept, and compared as they are. For one code throughout give another --output_dir than {shown(out.out)}, "
        "or go back to the former code"
    )


def describe_end(ended: Mapping[str, str], chosen: Sequence[Run], recorded: int, out: Places) -> str:
    """Say how many runs are recorded, and what failed with its last lines."""
    lines = [f"{recorded} of {len(chosen)} runs are recorded"]
    for name in (name for name, state in ended.items() if state == FAILED):
        folder = out.training(name)
        failure = read_json_or_none(folder / "failure.json") or {}
        lines.append(
            f"error: {name} failed at its {failure['stage']}, exit code {failure['exit_code']}; its last lines"
        )
        lines += [f"    {line}" for line in last_lines(folder / "log.txt")]
        lines.append(f"    (all of them are in {shown(folder / 'log.txt')}; the same command tries again)")
    counts = Counter(state for state in ended.values() if state not in ("done", FAILED))
    lines += [f"{number} units of work: {_WORDS[state]}" for state, number in counts.items()]
    return "\n".join(lines)


_WORDS = {
    "stopped": "interrupted; the same command goes on from the last epoch",
    "busy": "another process is at them",
    "blocked": "wait for one that is not finished",
}


def _axes(runs: Sequence[Run]) -> str:
    names = ("dataset", "network", "initialisation", "variant", "budget", "seed")
    counts = [(name, len({run.labels[name] for run in runs})) for name in names]
    return ", ".join(f"{number} {name}{'s' if number > 1 else ''}" for name, number in counts)
