"""Runs of a bundle as by `python -m monai.bundle run`, each in its own process.

Warm ones are forks of a server that has imported what all need, which takes a new Python seconds.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tools.project import ROOT

# nothing that imports `scripts`: every bundle brings its own
PRELOADED = ["monai.bundle", "monai.engines", "monai.handlers", "ignite.handlers", "itk", "tests.warm_runs"]


class Finished(NamedTuple):
    returncode: int
    output: str


def run_warm(command: list[str], cwd: Path, max_file_bytes: int | None = None) -> Finished:
    """Run a module from `cwd`; no file can grow beyond `max_file_bytes`.

    Args:
        command: the arguments after `python -m`; or "-c" and code, as Python takes them.
        cwd: folder to run in.
        max_file_bytes: as a disk would be full.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with tempfile.NamedTemporaryFile("r") as log:
        process = context.Process(target=_run, args=(command, str(cwd), log.name, max_file_bytes))
        process.start()
        process.join()
        return Finished(process.exitcode or 0, log.read())


def run_cold(command: list[str], cwd: Path, *launcher: str) -> Finished:
    """Run a module, given as for `run_warm`, by what starts Python: `sys.executable`, or a program that takes it."""
    env = {**os.environ, "PYTHONFAULTHANDLER": "1", "PYTHONPATH": str(ROOT)}
    line = [*launcher, "-m", *command]
    done = subprocess.run(line, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return Finished(done.returncode, done.stdout)


def _run(command: list[str], cwd: str, log: str, max_file_bytes: int | None) -> None:
    os.chdir(cwd)
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    faulthandler.enable()
    # pytest's path has the checkout's `scripts`, with which a bundle without its own would run
    sys.path[:] = [cwd, *(folder for folder in sys.path if folder != str(ROOT / "bundles"))]
    if max_file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    sys.argv = command
    try:
        if command[0] == "-c":
            exec(command[1], {"__name__": "__main__"})
        else:
            runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    except SystemExit:
        raise  # its message is told by multiprocessing
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
