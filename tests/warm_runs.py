"""Runs of a bundle as by `python -m monai.bundle run`, each in its own process, but without seconds of imports."""

from __future__ import annotations

import multiprocessing
import os
import resource
import runpy
import signal
import sys
from pathlib import Path
from typing import NamedTuple

PRELOADED = ["monai.bundle", "monai.engines", "monai.handlers", "ignite.handlers", "itk", "tests.warm_runs"]


class Finished(NamedTuple):
    returncode: int
    output: str


def run_warm(command: list[str], cwd: Path, max_file_bytes: int | None = None) -> Finished:
    """Run `command`, the arguments after `python -m`, from `cwd`; files cannot grow beyond `max_file_bytes`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    log = cwd / "output.txt"
    process = context.Process(target=_run, args=(command, str(cwd), str(log), max_file_bytes))
    process.start()
    process.join()
    return Finished(process.exitcode or 0, log.read_text())


def _run(command: list[str], cwd: str, log: str, max_file_bytes: int | None) -> None:
    os.chdir(cwd)
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    sys.path.insert(0, cwd)
    if max_file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    sys.argv = command
    code = 0
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.exit(code)
