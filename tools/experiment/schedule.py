"""The order of work: several units at once, each after those it needs, until all are done or time is up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from .units import Unit
from .work import DONE, FAILED

BLOCKED = "blocked"


def run_all(
    units: Mapping[str, Unit], work: Callable[[Unit], str], done: set[str], jobs: int, stop: threading.Event
) -> dict[str, str]:
    """Run units until none is left that can be run.

    Args:
        units: by id, each after those it needs.
        work: runs one and says how it ended, see `work.run_unit`.
        done: ids of those finished before.
        jobs: how many at once.
        stop: when set, nothing new is begun.

    Returns:
        How each unit that was not finished before ended; "blocked" if one it needs is not done.
    """
    ended = dict.fromkeys(done, DONE)
    waiting = [unit for unit in units.values() if unit.id not in done]
    running: dict[Future[str], Unit] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while True:
                for unit in list(waiting):
                    states = [ended.get(parent) for parent in unit.parents]
                    if any(state not in (None, DONE) for state in states):
                        ended[unit.id] = BLOCKED
                        waiting.remove(unit)
                    elif len(running) < jobs and not stop.is_set() and all(state == DONE for state in states):
                        running[pool.submit(work, unit)] = unit
                        waiting.remove(unit)
                if not running:
                    break
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    ended[running.pop(future).id] = future.result()
        except BaseException:
            stop.set()  # whatever went wrong here, no command is left behind
            raise
    return {name: state for name, state in ended.items() if name not in done}


def exit_code(ended: Mapping[str, str], planned: int) -> int:
    """Return 0 if all is done, 1 if something failed, 75 (try again) if something is left.

    Args:
        ended: see `run_all`.
        planned: how many units were to be run.
    """
    states = list(ended.values())
    if FAILED in states:
        return 1
    return 0 if states.count(DONE) == planned else 75
