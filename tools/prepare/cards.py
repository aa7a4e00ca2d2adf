"""The datasets that can be prepared, and what the cards of their bundles say of them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

from scripts.errors import InputError

from ..project import ROOT
from ..render.card import read_card
from . import datasets
from .download import Download

TASKS = ("segmentation", "evaluation")


def dataset_names() -> list[str]:
    """List the datasets by the names of their modules."""
    return sorted(module.name for module in pkgutil.iter_modules(datasets.__path__))


def dataset_module(dataset: str) -> ModuleType:
    """Return the module that knows a dataset's release.

    Raises:
        InputError: there is none of this name.
    """
    if dataset not in dataset_names():
        raise InputError(f"dataset {dataset!r} is not known: give one of {', '.join(dataset_names())}")
    return importlib.import_module(f"{datasets.__name__}.{dataset}")


def bundle_of(dataset: str, root: Path = ROOT) -> str:
    """Return the name of the bundle that a dataset belongs to.

    Raises:
        InputError: there is none.
    """
    names = [f"{dataset}_{task}" for task in TASKS]
    for name in names:
        if (root / "bundles" / name / "card.json").is_file():
            return name
    raise InputError(f"dataset {dataset} has no bundle: expected bundles/{names[0]}/card.json")


def dataset_section(dataset: str, root: Path = ROOT) -> dict[str, Any]:
    """Return what the card says of a dataset: name, licence, access, channels, labels, regions."""
    section: dict[str, Any] = read_card(bundle_of(dataset, root), root)["dataset"]
    return section


def layout(module: ModuleType) -> str:
    """Return the release's layout in one line, which is what a dataset module's docstring says."""
    return " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())


def downloads(module: ModuleType) -> tuple[Download, ...]:
    """Return what can be downloaded of a dataset without a login, nothing for most."""
    return getattr(module, "DOWNLOADS", ())
