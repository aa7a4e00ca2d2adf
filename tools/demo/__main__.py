"""The main job from scans to a report: pretrain, fine-tune, train from scratch, evaluate, segment, each by its bundle.

python -m tools.demo [--data <MSD folder>] [--unlabelled <folder>] [--output_dir demo] [--minutes 10] [--memory 1GB]
    [--fresh]
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from scripts.errors import InputError
from scripts.files import first_free, read_json_or_none, save_json

from ..cli import cli
from ..commands import Knobs, command_line, shown
from ..facts import device_name
from ..logs import last_lines
from .settings import PRETRAINS_ON_DATA, ROOT, Settings, make_settings
from .steps import Step, data_folders, make_steps

SETTINGS = "demo.json"

Runner = Callable[[list[str], Path], int]


def demo(
    data: str = "",
    unlabelled: str = "",
    output_dir: str = "demo",
    minutes: float | None = None,
    memory: str | None = None,
    fresh: bool = False,
) -> None:
    """Run the demo, or continue it where it stopped.

    Args:
        data: folder in MSD layout (dataset.json, imagesTr, labelsTr); left out, brain-like phantoms are generated.
        unlabelled: folder of scans to pretrain on; left out, the images of `data`.
        output_dir: where everything goes; the report is its report.html.
        minutes: about how long it takes on 2 cores; epochs follow. Left out: 8 for generated data, more for real.
        memory: what a training step may take, such as 1GB; batches are lowered to fit.
        fresh: move a former run in `output_dir` aside and start anew.

    Raises:
        InputError: if the data is not there, or `output_dir` holds something else.
        SystemExit: with the exit code of a step that failed.
    """
    settings = make_settings(data, unlabelled, minutes, memory)
    run_demo(settings, Path(output_dir).resolve(), fresh)


def run_demo(settings: Settings, out: Path, fresh: bool = False, run: Runner | None = None) -> None:
    """Run what is not finished of a demo.

    Args:
        settings: what to run.
        out: absolute path of the demo's folder.
        fresh: whether to move a former run aside.
        run: runs a command in the project folder, adds what it prints to a log, returns its exit code.

    Raises:
        InputError: if `out` holds something else, see `claim`.
        SystemExit: with the exit code of a step that failed.
    """
    aside = claim(out, settings, fresh)
    if aside:
        _say(f"the former run is now in {shown(aside)}")
    steps = make_steps(settings, out)
    _say(describe_plan(settings, out, steps))
    for number, step in enumerate(steps, 1):
        heading = f"[{number}/{len(steps)}] {step.title}"
        stamp = read_stamp(out, step, settings)
        if stamp:
            _say(f"{heading}: finished before, in {stamp['seconds']:.0f} s")
        else:
            run_step(step, out, settings, heading, run or run_logged)
    _say(f"the report is {shown(out / 'report.html')}")


def claim(out: Path, settings: Settings, fresh: bool) -> Path | None:
    """Make sure that the folder is this demo's, before anything is written.

    Args:
        out: the demo's folder, made if missing.
        settings: what will run.
        fresh: whether to move a former demo aside, to `<out>_<n>`.

    Returns:
        Where a former run was moved, or None.

    Raises:
        InputError: if the folder holds no demo but something else, or one of other settings and `fresh` is not given.
    """
    aside = None
    former = out / SETTINGS
    if out.exists() and not former.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{shown(out)} exists and holds no demo: name another --output_dir (make demo OUTPUT=...)")
    if former.exists() and fresh:
        aside = first_free(f"{out}_")
        os.replace(out, aside)
    elif former.exists():
        before = json.loads(former.read_text())
        wanted = settings.deciding()
        other = [f"{key} {before.get(key)}, not {wanted[key]}" for key in wanted if before.get(key) != wanted[key]]
        if other:
            raise InputError(
                f"{shown(out)} holds a run of other settings ({other[0]}): "
                "add --fresh (make demo FRESH=1) to move it aside, or name another --output_dir (OUTPUT=...)"
            )
    out.mkdir(parents=True, exist_ok=True)
    if not former.exists():
        save_json(dataclasses.asdict(settings), former)
    return aside


def describe_plan(settings: Settings, out: Path, steps: list[Step]) -> str:
    """Say what will run, on what, where and for how long."""
    if settings.data is None:
        labelled = unlabelled = "generated phantoms"
    else:
        folder, scans = data_folders(settings, out)
        labelled = f"{settings.num_labelled} cases in {shown(folder)}"
        unlabelled = f"{settings.num_unlabelled} scans in {shown(scans)}"
    names = [step.name + (" (done)" if read_stamp(out, step, settings) else "") for step in steps]
    lines = [
        f"labelled data    {labelled}",
        f"unlabelled data  {unlabelled}",
        f"pretraining      {_epochs(settings.pretrain)}",
        f"segmentation     {_epochs(settings.segment)}, from the pretrained weights and from scratch alike",
        f"steps            {', '.join(names)}",
        f"device           {device_name()}",
        f"output           {shown(out)}",
        f"time             about {settings.minutes:.0f} minutes on 2 cores",
    ]
    if settings.pretrains_on_data:
        lines.append(f"note             {PRETRAINS_ON_DATA}")
    return "\n".join(lines)


def run_step(step: Step, out: Path, settings: Settings, heading: str, run: Runner) -> None:
    """Run one step, continuing an interrupted training, and leave its stamp.

    Raises:
        SystemExit: with the step's exit code if it failed.
    """
    resumes = step.last is not None and step.last.exists()
    command = [*step.command, "--resume", "True"] if resumes else step.command
    if step.last is None:
        shutil.rmtree(step.folder, ignore_errors=True)  # half of an interrupted step would mix with the new whole
    if step.prepare:
        step.prepare()
    _say(f"{heading}{', continued from its last checkpoint' if resumes else ''}\n{command_line(command)}")
    log = out / "logs" / f"{step.name}.log"
    log.parent.mkdir(exist_ok=True)
    start = time.monotonic()
    code = run(command, log)
    seconds = time.monotonic() - start
    if code:
        _say(f"error: {step.title!r} ended with exit code {code}; its last lines (all of them are in {shown(log)}):")
        print("\n".join(last_lines(log)), flush=True)
        raise SystemExit(code if code > 0 else 1)
    stamp = {
        "step": step.name,
        "title": step.title,
        "command": command,
        "seconds": round(seconds, 1),
        "exit_code": code,
        "resumed": resumes,
        "finished": datetime.now().astimezone().isoformat(timespec="seconds"),
        "settings": settings.fingerprint(),
    }
    save_json(stamp, out / "steps" / f"{step.name}.json")


def read_stamp(out: Path, step: Step, settings: Settings) -> dict[str, Any] | None:
    """Return the stamp of a step that finished under these settings, or None."""
    stamp: dict[str, Any] | None = read_json_or_none(out / "steps" / f"{step.name}.json")
    return stamp if stamp and stamp["settings"] == settings.fingerprint() else None


def run_logged(command: list[str], log: Path) -> int:
    """Run a command in the project folder; what it prints goes to the terminal as it comes, and to the end of a log."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with log.open("ab") as file:
        file.write(f"$ {command_line(command)}\n".encode())
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        try:
            while chunk := os.read(process.stdout.fileno(), 4096):
                file.write(chunk)
                file.flush()
                sys.stdout.buffer.write(chunk)
                sys.stdout.flush()
            return process.wait()
        finally:
            process.terminate()
            process.wait()


def _epochs(knobs: Knobs) -> str:
    return f"{knobs['max_epochs']} epochs of {knobs['steps_per_epoch']} steps, batch {knobs['batch_size']}"


def _say(text: str) -> None:
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    cli(demo, resumes=True)
