"""The demo's steps with their exact commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.data.scans import find_scans
from scripts.files import save_json

from .demo_settings import PRETRAIN, ROOT, SEGMENT, Knobs, Settings, segmentation_cases

SEED = 0
SHOWN_SCANS, SHOWN_CASES = 3, 6  # how many held-out scans are reconstructed and test cases segmented for the report


@dataclass(frozen=True)
class Step:
    """One command of the demo.

    Attributes:
        name: also that of its stamp and log.
        title: what it does, for the user.
        command: the exact command, to be run in the project folder.
        folder: what it writes; emptied before the step starts, unless it trains.
        last: the checkpoint from which it can be continued, if it trains.
        prepare: gathers what it reads from what earlier steps wrote.
    """

    name: str
    title: str
    command: list[str]
    folder: Path
    last: Path | None = None
    prepare: Callable[[], None] | None = None


def make_steps(settings: Settings, out: Path) -> list[Step]:
    """List the demo's steps in order.

    Args:
        settings: what to run.
        out: absolute path of the demo's folder.

    Returns:
        The steps; commands name paths inside the project relative to it.
    """
    data, unlabelled = data_folders(settings, out)
    steps = []
    if settings.data is None:
        generate = [*_python(), "tools.phantoms", "--output_dir", shown(out / "data")]
        steps.append(Step("phantoms", "generate brain-like phantoms", generate, out / "data"))
    curation: Knobs = {"min_fov_mm": 0, "min_file_kb": 0} if settings.pretrains_on_data else {}
    weights = out / "pretrain" / "models"
    source: Knobs = {"dataset_dir": unlabelled, "ckpt_dir": weights, "seed": SEED}
    steps += [
        Step(
            "pretrain",
            "pretrain on the unlabelled scans",
            bundle_command(PRETRAIN, ["train", "compact"], source, out / "pretrain", curation | settings.pretrain),
            out / "pretrain",
            last=weights / "last.pt",
        ),
        Step(
            "pretrain_evaluation",
            "measure the reconstruction of held-out scans",
            bundle_command(PRETRAIN, ["train", "evaluate", "compact"], source, out / "pretrain_evaluation", curation),
            out / "pretrain_evaluation",
        ),
        Step(
            "reconstructions",
            "reconstruct a few held-out scans",
            bundle_command(
                PRETRAIN,
                ["inference", "compact"],
                source | {"dataset_dir": out / "inputs" / "scans.json"},
                out / "reconstructions",
                {},
            ),
            out / "reconstructions",
            prepare=lambda: list_scans(out, unlabelled),
        ),
    ]
    for arm, title in (("finetuned", "fine-tune the pretrained network"), ("scratch", "train the same from scratch")):
        knobs = settings.segment | ({"pretrained": weights / "model.pt"} if arm == "finetuned" else {})
        labelled: Knobs = {"dataset_dir": data, "ckpt_dir": out / arm / "models", "seed": SEED}
        command = bundle_command(SEGMENT, ["train"], labelled, out / arm, knobs)
        steps.append(Step(arm, title, command, out / arm, last=out / arm / "models" / "last.pt"))
    for arm, title in (("finetuned", "fine-tuned network"), ("scratch", "network from scratch")):
        labelled = {"dataset_dir": data, "ckpt_dir": out / arm / "models", "seed": SEED}
        folder = out / f"{arm}_evaluation"
        command = bundle_command(SEGMENT, ["train", "evaluate"], labelled, folder, {})
        steps.append(Step(f"{arm}_evaluation", f"evaluate the {title} on the test cases", command, folder))
    images: Knobs = {"dataset_dir": out / "inputs" / "images.json", "ckpt_dir": out / "finetuned" / "models"}
    steps += [
        Step(
            "segmentations",
            "segment test cases with the fine-tuned network",
            bundle_command(SEGMENT, ["inference"], images, out / "segmentations", {}),
            out / "segmentations",
            prepare=lambda: list_images(out, data),
        ),
        Step(
            "report",
            "write the report",
            [*_python(), "tools.demo_report", "--output_dir", shown(out)],
            out / "figures",
        ),
    ]
    return steps


def bundle_command(bundle: str, configs: list[str], source: Knobs, output_dir: Path, knobs: Knobs) -> list[str]:
    """Return the command that runs a bundle's configs with some knobs, from the project folder."""
    files = ",".join(f"'bundles/{bundle}/configs/{config}.json'" for config in configs)
    command = [*_python(), "monai.bundle", "run", "--config_file", f"[{files}]", "--bundle_root", f"bundles/{bundle}"]
    for knob, value in (source | {"output_dir": output_dir} | knobs).items():
        command += [f"--{knob}", shown(value) if isinstance(value, Path) else str(value)]
    return command


def data_folders(settings: Settings, out: Path) -> tuple[Path, Path]:
    """Return the folder in MSD layout and the folder of the pretraining scans."""
    if settings.data is None:
        return out / "data" / "labelled", out / "data" / "unlabelled"
    data = Path(settings.data)
    return data, Path(settings.unlabelled) if settings.unlabelled else data / "imagesTr"


def shown(path: Path) -> str:
    """Return a path as the commands name it: relative inside the project folder, absolute outside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def evaluated_cases(report: Path) -> list[str]:
    """List the cases of an evaluation's JSON in order."""
    return list(dict.fromkeys(row["case"] for row in json.loads(report.read_text())["cases"]))


def list_scans(out: Path, unlabelled: Path) -> None:
    """Write the data list of the first held-out scans, `inputs/scans.json`."""
    images = {scan["case"]: scan["image"] for scan in find_scans(unlabelled, mixed_dicom=True)}
    cases = evaluated_cases(out / "pretrain_evaluation" / "reconstruction.json")[:SHOWN_SCANS]
    save_json([{"image": images[case]} for case in cases], out / "inputs" / "scans.json")


def list_images(out: Path, data: Path) -> None:
    """Write the data list of the first test cases, `inputs/images.json`, which does not name their labels."""
    images = {case["case"]: case["image"] for case in segmentation_cases(data)}
    cases = evaluated_cases(out / "finetuned_evaluation" / "metrics.json")[:SHOWN_CASES]
    save_json([{"image": images[case]} for case in cases], out / "inputs" / "images.json")


def _python() -> list[str]:
    """Return the interpreter in use, as the commands name it."""
    return [shown(Path(sys.executable)), "-m"]
