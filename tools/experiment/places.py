"""Where a study's files lie, and how its records name them without saying on which machine."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from ..commands import shown

DATA, OUTPUT = "DATA", "OUTPUT"
STUDY = "study.json"  # beside its records


@dataclass(frozen=True)
class Places:
    """The two folders of an experiment.

    Attributes:
        data: holds the datasets.
        out: everything written.
    """

    data: Path
    out: Path

    def real(self, name: str) -> Path:
        """Return the path of a name such as `DATA/brain_t1` or `OUTPUT/lists/self.json`."""
        root, _, rest = name.partition("/")
        return {DATA: self.data, OUTPUT: self.out}[root] / rest

    def portable(self, command: list[str]) -> list[str]:
        """Return a command with the folders and the interpreter named as on any machine."""
        names = [(shown(Path(sys.executable)), "python"), (shown(self.data), DATA), (shown(self.out), OUTPUT)]
        names.sort(key=lambda pair: -len(pair[0]))  # a folder inside the other first
        for path, name in names:
            command = [name + part.removeprefix(path) if _below(part, path) else part for part in command]
        return command

    def training(self, name: str) -> Path:
        """Return the folder of a training."""
        return self.out / "trainings" / name

    def records(self, study: str) -> Path:
        """Return the folder of a study's records."""
        return self.out / "records" / study


def _below(part: str, path: str) -> bool:
    return part == path or part.startswith(path + "/")
