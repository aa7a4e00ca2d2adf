"""A new bundle's folder, there whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from scripts.data.dataset_json import paired_images
from scripts.data.reading import as_list
from scripts.data.split_lists import PARTS
from scripts.errors import InputError
from scripts.files import read_json, save_json, save_text

from ..project import ROOT
from ..render.bundle import render_card
from .checks import case_of
from .folders import Source

MEASURED = "data/measured.jsonl"


def place_of(name: str, target: Path) -> Path:
    """Return the folder that a bundle is to have.

    Raises:
        InputError: if it exists, or the name is none for a folder and a bundle.
    """
    if not name.isidentifier():
        raise InputError(f"the name is {name!r}: give letters, digits and _, such as my_organ_segmentation")
    bundle = target / name
    if bundle.exists():
        raise InputError(f"{bundle} exists and is not overwritten: give another name or --target, or remove it")
    return bundle


def part_of(bundle: Path) -> Path:
    """Return the folder beside it in which it is made; what was measured stays there for the next attempt."""
    return bundle.with_name(f".{bundle.name}.part")


def write_bundle(part: Path, card: dict[str, Any]) -> None:
    """Write all files of a bundle but its card, which makes a folder a bundle.

    Args:
        part: the folder to fill.
        card: of the bundle.
    """
    for path, text in render_card(card).items():
        save_text(text, part / path)
    scripts = part / "scripts"
    if scripts.is_symlink():
        scripts.unlink()
    shutil.rmtree(scripts, ignore_errors=True)
    if part.parent == ROOT / "bundles":
        scripts.symlink_to("../scripts")
    else:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "bundles" / "scripts", scripts, ignore=ignored)


def write_dataset_json(
    part: Path, source: Source, cases: list[dict[str, Any]], channels: list[str], labels: dict[str, int]
) -> None:
    """Write a list of the cases in MSD form, for folders that have none; images stay where they are.

    Args:
        part: the bundle's folder, whose `data` the bundle reads where no other folder is named.
        source: the dataset.
        cases: to list.
        channels: names in order.
        labels: values by name.
    """
    regions: dict[str, Any] = {"background": 0, **source.regions} if source.regions else {}
    content = {
        "channel_names": {str(number): channel for number, channel in enumerate(channels)},
        "labels": regions or labels,
        "training": [{"image": case["image"], "label": case["label"]} for case in cases],
    }
    save_json(content, part / "data" / "dataset.json")


def write_split(part: Path, split: Path, cases: list[dict[str, Any]]) -> None:
    """Write how the data are divided for the cases of the written list, by the names that they have there.

    Args:
        part: the bundle's folder, whose `data` has the list.
        split: the data's own `{"train": [case, ...], "test": [case, ...]}`.
        cases: that are listed.

    Raises:
        InputError: if none of the training or of the test cases is listed.
    """
    listed = {tuple(as_list(case["image"])): case["case"] for case in paired_images(part / "data")}
    names = {case["case"]: listed[tuple(as_list(case["image"]))] for case in cases}
    content = read_json(split)
    parts = {key: [names[case] for case in map(case_of, content[key]) if case in names] for key in PARTS}
    if missing := [key for key, kept in parts.items() if not kept]:
        raise InputError(f"{split} has no sound case to {missing[0]}: correct some of them, or name others there")
    save_json(parts, part / "data" / split.name)


def finish(part: Path, bundle: Path, card: dict[str, Any]) -> None:
    """Write the card and move the folder to its place.

    Raises:
        InputError: if something came to stand there meanwhile.
    """
    if bundle.exists():
        raise InputError(f"{bundle} came to exist meanwhile and is not overwritten: give another name or --target")
    save_json(card, part / "card.json")
    os.rename(part, bundle)
