"""Commands as child processes that can be stopped, and that nobody runs twice at once."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..commands import command_line
from ..project import ROOT

POLL_SECONDS, GRACE_SECONDS = 0.2, 10


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, and processor seconds with those of its own children."""

    code: int
    cpu_seconds: float


Runner = Callable[[list[str], Path, threading.Event, dict[str, str], int], Ended]


def run_child(
    command: list[str], log: Path, stop: threading.Event, environment: dict[str, str], lock: int = -1
) -> Ended:
    """Run a command in the project folder, its output at the end of a log.

    Args:
        command: what to run.
        log: file to append to.
        stop: when set, the command and its children are stopped.
        environment: variables to add.
        lock: open file that the command inherits, so that a lock on it lasts as long as the command, even if this
            process is killed.
    """
    with log.open("ab") as file:
        file.write(f"$ {command_line(command)}\n".encode())
        file.flush()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(lock,) if lock >= 0 else (),
        )
    deadline: float | None = None
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)
            return Ended(process.returncode, usage.ru_utime + usage.ru_stime)
        if stop.is_set() and deadline is None:
            os.killpg(process.pid, signal.SIGTERM)
            deadline = time.monotonic() + GRACE_SECONDS
        elif deadline is not None and time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


@contextmanager
def claimed(path: Path, wait: bool = False) -> Iterator[int | None]:
    """Hold a lock file; yields its number, or None where another process, perhaps an orphaned child, holds it.

    Args:
        path: the lock file.
        wait: until the other process is done, instead of yielding None.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield None
        else:
            yield handle
    finally:
        os.close(handle)
