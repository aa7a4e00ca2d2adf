"""The commands in the demo's report: those that made it, and those to go on with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ..commands import bundle_command, command_line, shown
from .settings import PRETRAIN, SEGMENT, Settings
from .steps import data_folders


def commands_run(steps: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return title and exact command of each finished step."""
    return [(step["title"], command_line(step["command"])) for step in steps]


def commands_to_go_on(out: Path, settings: Settings) -> list[tuple[str, str]]:
    """Return what a user may want next, each with the command, to be run in the project folder.

    Args:
        out: the demo's folder.
        settings: what was run.
    """
    python = shown(Path(sys.executable))
    data, _ = data_folders(settings, out)
    demo = [python, "-m", "tools.demo"]
    for option in ("data", "unlabelled", "memory"):
        if value := getattr(settings, option):
            demo += [f"--{option}", value]
    longer = out.with_name(f"{out.name}_longer")
    resume = [*demo, "--minutes", f"{settings.minutes:g}", "--output_dir", shown(out)]
    train_longer = [*demo, "--minutes", f"{6 * settings.minutes:g}", "--output_dir", shown(longer)]
    paper, own = Path("models/paper"), Path("models/own")
    pretrain_paper = bundle_command(
        PRETRAIN, ["train"], {"dataset_dir": "SCANS", "ckpt_dir": paper, "output_dir": paper}
    )
    finetune = bundle_command(
        SEGMENT,
        ["train"],
        {
            "dataset_dir": data,
            "pretrained": out / "pretrain" / "models" / "model.pt",
            "ckpt_dir": own,
            "output_dir": own,
        },
    )
    segment = bundle_command(
        SEGMENT,
        ["inference"],
        {"dataset_dir": "SCAN.nii.gz", "ckpt_dir": out / "finetuned" / "models", "output_dir": "segmented"},
    )
    mine = "make demo DATA=LABELLED UNLABELLED=SCANS OUTPUT=mine"
    return [
        ("Continue an interrupted run of this demo", command_line(resume)),
        ("The same, trained six times as long", command_line(train_longer)),
        ("The same on your own scans: labelled ones in MSD layout, and a folder of unlabelled ones", mine),
        ("Pretrain at the paper's size on a folder of scans (a large GPU, days)", command_line(pretrain_paper)),
        ("Fine-tune from this demo's pretrained weights by the bundle's own, longer schedule", command_line(finetune)),
        ("Segment a scan of your own, a file or a folder, with this demo's fine-tuned network", command_line(segment)),
    ]
