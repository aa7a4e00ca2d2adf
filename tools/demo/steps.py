"""The demo's steps with their exact commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.data.splits import split_cases
from scripts.files import save_json

from ..commands import EVERY_SCAN, Knobs, bundle_command, shown, tool_command
from ..held_out import evaluated_cases, list_held_out
from .settings import PRETRAIN, SEGMENT, Settings, segmentation_cases, segmentation_config

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
    generate = tool_command("tools.phantoms", "--output_dir", shown(out / "data"))
    report = tool_command("tools.demo.report", "--output_dir", shown(out))
    return [
        *([] if settings.data else [Step("phantoms", "generate brain-like phantoms", generate, out / "data")]),
        *_pretraining(settings, out),
        *_segmentation(settings, out),
        Step("report", "write the report", report, out / "figures"),
    ]


def _pretraining(settings: Settings, out: Path) -> list[Step]:
    data, unlabelled = data_folders(settings, out)
    weights: Knobs = {"ckpt_dir": out / "pretrain" / "models", "seed": SEED}
    source: Knobs = {"dataset_dir": unlabelled, **weights, "cache_dir": out / "cache"}
    if settings.pretrains_on_data:
        source |= EVERY_SCAN

    def step(name: str, title: str, configs: list[str], knobs: Knobs) -> Step:
        command = bundle_command(PRETRAIN, [*configs, "compact"], {**knobs, "output_dir": out / name})
        return Step(name, title, command, out / name)

    train = step("pretrain", "pretrain on the unlabelled scans", ["train"], source | settings.pretrain)
    evaluate = step("pretrain_evaluation", "reconstruct the held-out scans and measure", ["train", "evaluate"], source)
    scans: Knobs = {"dataset_dir": out / "inputs" / "scans.json", **weights}
    infer = step("reconstructions", "reconstruct a few held-out scans to show", ["inference"], scans)
    gather = (lambda: list_unlabelled(unlabelled, data)) if settings.pretrains_on_data else None
    return [
        replace(train, last=out / "pretrain" / "models" / "training_state.pt", prepare=gather),
        evaluate,
        replace(infer, prepare=lambda: list_scans(out, unlabelled)),
    ]


def _segmentation(settings: Settings, out: Path) -> list[Step]:
    data, _ = data_folders(settings, out)
    source: Knobs = {"dataset_dir": data, "seed": SEED, "cache_dir": out / "cache"}
    warm_up = settings.warm_up_steps
    phases = [["decoder", "ramp", warm_up], ["all", "ramp", warm_up], ["all", "poly", None]]
    pretrained: Knobs = {"pretrained": out / "pretrain" / "models" / "model.pt", "pretrained_phases": phases}

    def step(name: str, title: str, arm: str, configs: list[str], knobs: Knobs) -> Step:
        weights: Knobs = {"ckpt_dir": out / arm / "models", "output_dir": out / name}
        return Step(name, title, bundle_command(SEGMENT, configs, {**knobs, **weights}), out / name)

    def train(arm: str, title: str, knobs: Knobs) -> Step:
        last = out / arm / "models" / "training_state.pt"
        return replace(step(arm, title, arm, ["train"], source | settings.segment | knobs), last=last)

    def evaluate(arm: str, title: str) -> Step:
        return step(f"{arm}_evaluation", title, arm, ["train", "evaluate"], source)

    images: Knobs = {"dataset_dir": out / "inputs" / "images.json"}
    infer = step("segmentations", "segment test cases with the fine-tuned network", "finetuned", ["inference"], images)
    return [
        train("finetuned", "fine-tune the pretrained network", pretrained),
        train("scratch", "train the same from scratch", {}),
        evaluate("finetuned", "evaluate the fine-tuned network on the test cases"),
        evaluate("scratch", "evaluate the network from scratch on the test cases"),
        replace(infer, prepare=lambda: list_images(out, data)),
    ]


def data_folders(settings: Settings, out: Path) -> tuple[Path, Path]:
    """Return the folder in MSD layout and the folder, or data list, of the pretraining scans."""
    if settings.data is None:
        return out / "data" / "labelled", out / "data" / "unlabelled"
    return Path(settings.data), Path(settings.unlabelled or out / "inputs" / "unlabelled.json")


def list_unlabelled(target: Path, data: Path) -> None:
    """Write the data list of all images but the test cases', which the segmentation bundle's split holds out."""
    config = segmentation_config()
    parts = split_cases(segmentation_cases(data), test_fraction=config["test_fraction"], seed=config["split_seed"])
    save_json([{"image": case["image"]} for part in ("train", "val") for case in parts[part]], target)


def list_scans(out: Path, unlabelled: Path) -> None:
    """Write the data list of the first held-out scans, `inputs/scans.json`."""
    report = out / "pretrain_evaluation" / "reconstruction.json"
    list_held_out(report, unlabelled, SHOWN_SCANS, out / "inputs" / "scans.json")


def list_images(out: Path, data: Path) -> None:
    """Write the data list of the first test cases, `inputs/images.json`, which does not name their labels."""
    images = {case["case"]: case["image"] for case in segmentation_cases(data)}
    cases = evaluated_cases(out / "finetuned_evaluation" / "metrics.json")[:SHOWN_CASES]
    save_json([{"image": images[case]} for case in cases], out / "inputs" / "images.json")
