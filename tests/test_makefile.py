"""The environments of the Makefile: which Python each takes, and what it says of another."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.project import ROOT

FAKE = """#!/bin/sh
case "$1" in --version) echo "Python {version}";; *) echo "$@" >>"{log}";; esac
"""


def make(target: str, version: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run make with an interpreter that only tells its version, and return what else it was asked for."""
    for file in ROOT.glob("requirements*.txt"):
        shutil.copy(file, folder)
    shutil.copy(ROOT / "Makefile", folder)
    log, python = folder / "log", folder / "python"
    python.write_text(FAKE.format(version=version, log=log))
    python.chmod(0o755)
    done = subprocess.run(["make", target, f"PYTHON={python}"], cwd=folder, capture_output=True, text=True, check=False)
    return done, log.read_text() if log.exists() else ""


@pytest.mark.parametrize(
    ("target", "version", "needed"),
    [
        ("setup", "3.10.13", "3.11 or newer"),
        ("setup", "3.9.0", "3.11 or newer"),
        ("label", "3.13.0", "3.11 or 3.12"),
        ("federation", "3.12.1", "3.11"),
    ],
)
def test_another_python_is_refused_before_anything_is_made(target, version, needed, tmp_path):
    done, asked = make(target, version, tmp_path)
    told = f"make {target} needs Python {needed}, '{tmp_path}/python' is Python {version}: make {target} PYTHON=<path>"
    assert done.returncode and told == done.stderr.splitlines()[0]
    assert not asked and not list(tmp_path.glob(".venv*"))


@pytest.mark.parametrize(
    ("target", "version", "environment"),
    [
        ("setup", "3.11.7", ".venv"),
        ("setup", "3.13.0", ".venv"),
        ("label", "3.12.1", ".venv-label"),
        ("federation", "3.11.7", ".venv-federation"),
    ],
)
def test_an_environment_is_begun_anew(target, version, environment, tmp_path):
    done, asked = make(target, version, tmp_path)
    assert "needs Python" not in done.stderr
    assert asked.splitlines() == [f"-m venv --clear {environment}"]  # that of a former Python would keep it
