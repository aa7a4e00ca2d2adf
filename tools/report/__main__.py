"""Render an experiment's records: one HTML file that needs nothing else, figures as PNG, and Markdown.

python -m tools.report experiments/smallest
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from scripts.errors import InputError
from scripts.files import save_text, write_atomically

from ..cli import cli
from ..commands import shown
from ..pages import data_url, page_templates, save_figure
from ..project import ROOT, bundle_names
from ..render.card import read_card
from . import figures
from .ranks import rank_arms
from .records import Arm, Results, Scores, read_results, score_table, shared_runs
from .tables import Table, convergence_rows, difference_rows, rank_rows, reconstruction_rows, score_rows

TEMPLATES = Path(__file__).parent / "templates"
MAX_PICTURES = 4


@dataclass(frozen=True)
class Picture:
    """A figure: its file and what it shows."""

    path: Path
    caption: str

    @property
    def url(self) -> str:
        """The PNG itself as a data URL."""
        return data_url(self.path)


@dataclass(frozen=True)
class Section:
    """One study: the command of its runs, facts, tables and pictures."""

    study: dict[str, Any]
    command: str
    facts: dict[str, str]
    tables: list[Table]
    pictures: list[Picture]


def report(results: str, output_dir: str = "", markdown: str = "") -> None:
    """Write `report.html` and `figures/*.png`, and Markdown where asked for.

    Args:
        results: the --output_dir of a `tools.experiment`, or a folder of records copied from several.
        output_dir: where to write; "" for `report` in `results`.
        markdown: file to write as well, such as docs/results/hippocampus.md; its figures go to a folder beside it of
            the same name.

    Raises:
        InputError: there are no records, or a picture is missing beside them.
    """
    source = Path(results).resolve()
    out = Path(output_dir).resolve() if output_dir else source / "report"
    found = read_results(source)
    sections = [make_section(one, out / "figures") for one in found]
    _write("report.html.j2", out / "report.html", sections)
    print(f"report: {shown(out / 'report.html')}")
    if markdown:
        target = Path(markdown).resolve()
        _write("report.md.j2", target, [make_section(one, target.with_suffix("")) for one in found])
        print(f"report: {shown(target)}")


def make_section(results: Results, folder: Path) -> Section:
    """Return everything that is said of a study; its figures are written to a folder."""
    name = results.study["name"]
    tables = [score_rows(results)]
    if any(results.reference(arm) for arm in results.arms):
        tables += [difference_rows(results), convergence_rows(results)]
    drawn: dict[str, tuple[Figure, str]] = {}
    for group, arms in _grouped(results.arms).items():
        title = _title(group)
        drawn[f"{name}_curves_{_slug(group)}"] = (figures.learning_curves(arms, title), f"Learning curves: {title}")
    if len(results.study["budgets"]) > 1:
        for dataset in results.study["datasets"]:
            arms = [arm for arm in results.arms if arm.dataset == dataset]
            largest = max([arm.budget or 0 for arm in arms], default=0)
            if arms:
                figure = figures.label_efficiency(arms, dataset, largest * 2 or 1)
                drawn[f"{name}_labels_{dataset}"] = (figure, f"Test Dice over labelled cases: {dataset}")
    for budget, per_dataset in _rankable(results).items():
        arms = next(iter(per_dataset.values()))
        amount = "all" if budget is None else str(budget)
        title = f"Ranks, {amount} labelled cases"
        ranks = rank_arms({data: _stacked(same) for data, same in per_dataset.items()})
        tables.append(rank_rows(ranks, arms, title))
        figure = figures.rank_stability(ranks, [arm.label for arm in arms], title)
        drawn[f"{name}_ranks_n{amount}"] = (figure, f"{title}: size is how often, when test cases are resampled")
    if results.pretrainings:
        tables.append(reconstruction_rows(results.pretrainings))
    pictures = []
    for stem, (figure, caption) in drawn.items():
        save_figure(figure, folder / f"{stem}.png")
        pictures.append(Picture(folder / f"{stem}.png", caption))
    command = f"python -m tools.experiment {results.study['file']} --output_dir experiments/{name}"
    return Section(results.study, command, make_facts(results), tables, [*pictures, *_reconstructions(results, folder)])


def make_facts(results: Results) -> dict[str, str]:
    """Say how much was run, where and with what."""
    records = [record for arm in results.arms for record in arm.runs.values()]
    every = [*records, *results.pretrainings]
    seconds = sum(stage["seconds"] for record in every for stage in _stages(record))
    versions = {f"{key} {value}" for record in every for key, value in record["versions"].items() if key != "revision"}
    sources = sources_of_data(results.study)
    return {
        "runs": f"{len(records)} trainings, {len(results.pretrainings)} pretrainings",
        "seeds": ", ".join(str(seed) for seed in sorted({record["seed"] for record in records})),
        "time": f"{seconds:,.0f} seconds ({seconds / 3600:.1f} hours) of all commands together",
        "device": "; ".join(sorted({record["device"] for record in every})),
        "versions": ", ".join(sorted(versions)),
        "source revision": ", ".join(sorted({record["versions"]["revision"] for record in every})),
        "data": ", ".join(sorted({f"{record['dataset']} {record['data']}" for record in records})),
        **({"source and licence": "; ".join(sources)} if sources else {}),
    }


def sources_of_data(study: dict[str, Any]) -> list[str]:
    """Say where the labelled data, which pictures show too, are from: the terms of some ask for it.

    Args:
        study: its datasets name the bundles whose cards say it; generated data are nobody's.
    """
    bundles = {name: entry.get("bundle") for name, entry in study["datasets"].items() if not study["generated"]}
    cards = {
        name: read_card(bundle, ROOT)["dataset"] for name, bundle in bundles.items() if bundle in bundle_names(ROOT)
    }
    told = {
        name: [card[key] for key in ("name", "reference", "licence") if key in card] for name, card in cards.items()
    }
    return [f"{name}, as its bundle has it: {', '.join(words)}" for name, words in told.items()]


def _stages(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [stage for stage in record["timing"].values() if isinstance(stage, dict)]


def _grouped(arms: list[Arm]) -> dict[tuple[Any, ...], list[Arm]]:
    groups: dict[tuple[Any, ...], list[Arm]] = {}
    for arm in arms:
        groups.setdefault(arm.group, []).append(arm)
    return groups


def _rankable(results: Results) -> dict[int | None, dict[str, list[Arm]]]:
    """Return by budget and dataset the arms that were run on every dataset, with some seed of all of them on each."""
    arms = {arm.key: arm for arm in results.arms}
    datasets = list(dict.fromkeys(arm.dataset for arm in results.arms))
    found: dict[int | None, dict[str, list[Arm]]] = {}
    for arm in results.arms:
        same = [(data, *arm.key[1:]) for data in datasets]
        if arm.dataset == datasets[0] and all(key in arms for key in same):
            by_dataset = found.setdefault(arm.budget, {data: [] for data in datasets})
            for key in same:
                by_dataset[key[0]].append(arms[key])
    return {
        budget: by_dataset
        for budget, by_dataset in found.items()
        if all(len(arms) > 1 and shared_runs(arms) for arms in by_dataset.values())
    }


def _stacked(arms: list[Arm]) -> Scores:
    return np.array([scores.mean(axis=0) for scores in score_table(arms)])


def _reconstructions(results: Results, folder: Path) -> list[Picture]:
    pictures: dict[str, Picture] = {}
    for record in results.pretrainings:
        caption = f"Held-out scan: {record['network']} on {record['pretrain_on']}, {record['variant']}"
        if record["pictures"] and caption not in pictures and len(pictures) < MAX_PICTURES:  # of one seed only
            source = results.folder / record["pictures"][0]
            if not source.exists():
                raise InputError(f"{source} is missing: copy the pictures of pretrainings along with their records")
            target = folder / f"{results.study['name']}_{source.name}"
            write_atomically(target, partial(shutil.copyfile, source))
            pictures[caption] = Picture(target, caption)
    return list(pictures.values())


def _title(group: tuple[Any, ...]) -> str:
    dataset, network, budget = group
    return f"{dataset}, {network}, {'all' if budget is None else budget} labelled cases"


def _slug(group: tuple[Any, ...]) -> str:
    dataset, network, budget = group
    return f"{dataset}_{network}_n{'all' if budget is None else budget}"


def _write(template: str, target: Path, sections: list[Section]) -> None:
    def relative(path: Path) -> str:
        return os.path.relpath(path, target.parent)

    text = (
        page_templates(TEMPLATES)
        .get_template(template)
        .render(sections=sections, relative=relative, date=date.today().isoformat())
    )
    save_text(text, target)


if __name__ == "__main__":
    cli(report)
