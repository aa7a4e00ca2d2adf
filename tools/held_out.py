"""Which cases an evaluation scored, and lists of a few of them to show."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.data import pretraining_scans
from scripts.files import save_json


def evaluated_cases(report: Path) -> list[str]:
    """List the cases of an evaluation's JSON in order."""
    return list(dict.fromkeys(row["case"] for row in json.loads(report.read_text())["cases"]))


def list_held_out(report: Path, scans: Path, number: int, target: Path, num_channels: int = 1) -> None:
    """Write the data list of the first scans that a pretraining's evaluation reconstructed.

    Args:
        report: the evaluation's `reconstruction.json`.
        scans: where the pretraining's scans were found.
        number: of scans.
        target: JSON file to write.
        num_channels: of a scan, as in the pretraining.
    """
    images = {scan["case"]: scan["image"] for scan in pretraining_scans(scans, num_channels=num_channels)}
    save_json([{"image": images[case]} for case in evaluated_cases(report)[:number]], target)
