"""The demo's report: one HTML file that needs nothing else, and its figures as PNG.

python -m tools.demo.report --output_dir demo
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from matplotlib.figure import Figure

from scripts.data.scans import case_names
from scripts.errors import InputError
from scripts.files import read_json_or_none, save_text

from ..cli import cli
from ..commands import shown
from ..curves import read_curves
from ..facts import read_environment
from ..held_out import evaluated_cases
from ..pages import page_templates, save_figure
from . import figures
from .commands import commands_run, commands_to_go_on
from .results import read_steps, read_volume
from .settings import PRETRAINS_ON_DATA, Settings, segmentation_cases, segmentation_config
from .steps import data_folders
from .tables import compare_arms, reconstruction_words, segmentation_rows, segmentation_summary

TEMPLATES = Path(__file__).parent / "templates"


def report(output_dir: str = "demo") -> None:
    """Write `report.html` and `figures/*.png` into a demo's folder, from what its steps left there.

    Args:
        output_dir: the demo's folder.

    Raises:
        InputError: if the folder holds no demo.
    """
    out = Path(output_dir).resolve()
    settings = read_json_or_none(out / "demo.json")
    if settings is None:
        raise InputError(f"{output_dir} holds no demo (no demo.json): name the --output_dir of a python -m tools.demo")
    html = render(out, Settings(**settings))
    save_text(html, out / "report.html")


def render(out: Path, settings: Settings) -> str:
    """Return the report as HTML; what a step did not leave is said to be missing.

    Args:
        out: absolute path of the demo's folder; its figures are written to `figures`.
        settings: what was run.

    Returns:
        A page without any reference to another file or address.
    """
    data, unlabelled = data_folders(settings, out)
    pretrain = read_json_or_none(out / "pretrain_evaluation" / "reconstruction.json")
    arms = {arm: read_json_or_none(out / f"{arm}_evaluation" / "metrics.json") for arm in ("finetuned", "scratch")}
    steps = read_steps(out)
    return (
        page_templates(TEMPLATES)
        .get_template("demo.html.j2")
        .render(
            settings=settings,
            data=shown(data),
            unlabelled=shown(unlabelled),
            note=PRETRAINS_ON_DATA if settings.pretrains_on_data else None,
            figures=save_figures(out, data),
            pretrain=pretrain,
            pretrain_words=reconstruction_words(pretrain) if pretrain else None,
            metrics=next((metrics for metrics in arms.values() if metrics), None),
            summary=segmentation_summary(arms),
            comparison=compare_arms(arms["finetuned"], arms["scratch"]) if all(arms.values()) else None,
            rows=segmentation_rows(arms),
            steps=steps,
            seconds=sum(step["seconds"] for step in steps),
            environment=read_environment(),
            date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
            commands_run=commands_run(steps),
            commands_to_go_on=commands_to_go_on(out, settings),
        )
    )


def save_figures(out: Path, data: Path) -> dict[str, str]:
    """Draw the figures for which there is something to show, save them as PNG and return them as data URLs by name."""
    scans, cases = read_reconstructions(out), read_segmentations(out, data)
    classes = {value: name for name, value in segmentation_config()["labels"].items() if value}
    curves = {arm: read_curves(out / arm) for arm in ("pretrain", "finetuned", "scratch")}
    drawn: dict[str, Figure] = {}
    if curves["pretrain"]:
        drawn["pretraining_curves"] = figures.pretraining_curves(curves["pretrain"])
    if curves["finetuned"] or curves["scratch"]:
        both = {"fine-tuned": curves["finetuned"], "from scratch": curves["scratch"]}
        drawn["segmentation_curves"] = figures.segmentation_curves(both)
    if scans:
        drawn["reconstructions"] = figures.reconstruction_figure(scans)
    if cases:
        drawn["segmentations"] = figures.overlay_figure(cases, classes)
    if scans and cases:
        drawn["overview"] = figures.overview_figure(scans[0], cases[0], classes)
    return {name: save_figure(figure, out / "figures" / f"{name}.png") for name, figure in drawn.items()}


def read_reconstructions(out: Path) -> list[figures.Reconstruction]:
    """Read the scans that the pretraining bundle's inference reconstructed."""
    found = []
    for folder in sorted(path for path in (out / "reconstructions").glob("*") if path.is_dir()):
        paths = [folder / f"{folder.name}_{part}.nii.gz" for part in ("original", "masked", "reconstruction")]
        if all(path.exists() for path in paths):
            volumes = [read_volume(str(path)) for path in paths]
            original, masked, reconstruction = (volume for volume, _ in volumes)
            found.append(figures.Reconstruction(folder.name, original, masked, reconstruction, volumes[0][1]))
    return found


def read_segmentations(out: Path, data: Path) -> list[figures.Segmentation]:
    """Read the segmented test cases with their images and references, in the order of the evaluation."""
    evaluation = out / "finetuned_evaluation" / "metrics.json"
    if not evaluation.exists():
        return []
    cases = {case["case"]: case for case in segmentation_cases(data)}
    found = []
    for name in evaluated_cases(evaluation):
        image, label = cases[name]["image"], cases[name]["label"]
        # inference names a case by its image file, which in nnU-Net's layout bears the channel as well
        prediction = out / "segmentations" / f"{case_names([image])[0]}_seg.nii.gz"
        if prediction.exists():
            volume, spacing = read_volume(image)
            maps = [read_volume(path)[0] for path in (str(prediction), label)]
            found.append(figures.Segmentation(name, volume, maps[0], maps[1], spacing))
    return found


if __name__ == "__main__":
    cli(report)
