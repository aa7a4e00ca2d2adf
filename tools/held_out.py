"""Which cases an evaluation scored, and lists of a few of them to show."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.data.scans import find_scans
from scripts.files import save_json


def evaluated_cases(report: Path) -> list[str]:
    """List the cases of an evaluation's JSON in order."""
    return list(dict.fromkeys(row["case"] for row in json.loads(report.read_text())["cases"]))


def list_held_out(report: Path, scans: Path, number: int, target: Path) -> None:
    """Write the data list of the first scans that a pretraining's evaluation reconstructed.

    Args:
        report: the evaluation's `reconstruction.json`.
        scans: where the pretraining's scans were found.
        number: of scans.
        target: JSON file to write.
    """
    images = {scan["case"]: scan["image"] for scan in find_scans(scans, mixed_dicom=True)}
    save_json([{"image": images[case]} for case in evaluated_cases(report)[:number]], target)
