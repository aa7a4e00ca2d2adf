"""A study's share for one of several machines that see nothing of each other."""

from __future__ import annotations

import re

from scripts.errors import InputError

from .expand import Plan, Run


def share(plan: Plan, shard: str) -> list[Run]:
    """Return the runs of one share; runs that need the same pretraining are in the same one.

    Args:
        plan: the whole study.
        shard: "i/n", from 1/n to n/n; "" for everything.

    Raises:
        InputError: if it is not of this form.
    """
    if not shard:
        return plan.runs
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"shard is {shard!r}: give i/n, such as 2/4 for the second of four shares")
    number, total = int(match[1]), int(match[2])
    groups = sorted(_groups(plan).values(), key=lambda group: (-len(group), group[0].name))
    loads: list[list[Run]] = [[] for _ in range(total)]
    for group in groups:
        min(loads, key=len).extend(group)
    chosen = {run.name for run in loads[number - 1]}
    return [run for run in plan.runs if run.name in chosen]


def _groups(plan: Plan) -> dict[str, list[Run]]:
    """Return the runs that share work, directly or through others."""
    leader: dict[str, str] = {}

    def find(unit: str) -> str:
        while leader.setdefault(unit, unit) != unit:
            unit = leader[unit]
        return unit

    for run in plan.runs:
        for unit in plan.needed(run):
            if not unit.startswith("cost"):  # counted in seconds, so it may be counted twice
                leader[find(unit)] = find(run.unit)
    groups: dict[str, list[Run]] = {}
    for run in plan.runs:
        groups.setdefault(find(run.unit), []).append(run)
    return groups
