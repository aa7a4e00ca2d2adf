"""The commands in the demo's report: those that made it, and those to go on with."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from .demo_settings import PRETRAIN, SEGMENT, Settings
from .demo_steps import bundle_command, data_folders, shown


def commands_run(steps: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return title and exact command of each finished step."""
    return [(step["title"], shlex.join(step["command"])) for step in steps]


def commands_to_go_on(out: Path, settings: Settings) -> list[tuple[str, str]]:
    """Return what a user may want next, each with the command, to be run in the project folder.

    Args:
        out: the demo's folder.
        settings: what was run.
    """
    python = shown(Path(sys.executable))
    data, _ = data_folders(settings, out)
    demo = [python, "-m", "tools.demo"]
    source = ["--data", settings.data] if settings.data else []
    source += ["--unlabelled", settings.unlabelled] if settings.unlabelled else []
    longer = out.with_name(f"{out.name}_longer")
    resume = [*demo, *source, "--minutes", f"{settings.minutes:g}", "--output_dir", shown(out)]
    train_longer = [*demo, *source, "--minutes", f"{6 * settings.minutes:g}", "--output_dir", shown(longer)]
    models = Path("models")
    pretrain_paper = bundle_command(
        PRETRAIN, ["train"], {"dataset_dir": "SCANS", "ckpt_dir": models / "paper"}, models / "paper", {}
    )
    return [
        ("continue an interrupted run of this demo", shlex.join(resume)),
        ("the same, trained six times as long", shlex.join(train_longer)),
        (
            "the same on your own scans: a labelled folder in MSD layout and a folder of unlabelled scans",
            "make demo DATA=LABELLED UNLABELLED=SCANS OUTPUT=mine",
        ),
        ("pretrain at the paper's size (a GPU, days), on a folder of your scans", shlex.join(pretrain_paper)),
        (
            "fine-tune from this demo's pretrained weights with the bundle's own, full schedule",
            shlex.join(
                bundle_command(
                    SEGMENT,
                    ["train"],
                    {"dataset_dir": data, "ckpt_dir": models / "segmentation"},
                    models / "segmentation",
                    {"pretrained": out / "pretrain" / "models" / "model.pt"},
                )
            ),
        ),
        (
            "segment a scan of your own, a file or a folder, with this demo's fine-tuned network",
            shlex.join(
                bundle_command(
                    SEGMENT,
                    ["inference"],
                    {"dataset_dir": "SCAN.nii.gz", "ckpt_dir": out / "finetuned" / "models"},
                    Path("segmented"),
                    {},
                )
            ),
        ),
    ]
