"""What can be wrong with labelled data, and how to say it all at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

# An error would stop a training, teach something wrong or make its scores wrong; a warning may be meant so.
LEVELS = {
    "missing partner": "error",
    "unreadable": "error",
    "not 3D": "error",
    "shape": "error",
    "affine": "error",
    "oblique axes": "error",
    "not finite": "error",
    "label ids": "error",
    "fractional label": "error",
    "duplicate": "error",
    "two splits": "error",
    "no foreground": "error",
    "float label": "warning",
    "empty label": "warning",
    "absent class": "warning",
    "mixed modalities": "warning",
}
EVERY_CASE = "(all)"


@dataclass(frozen=True)
class Fault:
    """One finding.

    Attributes:
        case: name of the case, or `EVERY_CASE`.
        kind: one of `LEVELS`.
        text: what was found and what to do.
    """

    case: str
    kind: str
    text: str

    @property
    def level(self) -> str:
        """Return "error" or "warning"."""
        return LEVELS[self.kind]


def errors_of(faults: Sequence[Fault]) -> list[Fault]:
    """Return those that are errors."""
    return [fault for fault in faults if fault.level == "error"]


def table(faults: Sequence[Fault], most: int = 100) -> str:
    """Lay faults out in columns, errors first.

    Args:
        faults: to show.
        most: rows at most; how many more there are is said below.

    Returns:
        Lines of text with a count of every kind at the end.
    """
    ordered = sorted(faults, key=lambda fault: (fault.level, fault.kind, fault.case))
    rows = [("level", "case", "fault", "what"), *((f.level, f.case, f.kind, f.text) for f in ordered[:most])]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join([*map(str.ljust, row[:3], widths), row[3]]) for row in rows]
    if len(ordered) > most:
        lines.append(f"... and {len(ordered) - most} more")
    counts = Counter(f"{fault.kind} ({fault.level})" for fault in ordered)
    return "\n".join([*lines, "", ", ".join(f"{count} x {kind}" for kind, count in counts.most_common())])
