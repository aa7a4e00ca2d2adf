"""A folder of labelled scans in one of five forms, as one list of cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.data.dataset_json import (
    IGNORED,
    listed_cases,
    names_ignored,
    read_dataset_json,
    stated_channels,
    stated_labels,
)
from scripts.data.scans import SUFFIXES
from scripts.data.walk import folders_below
from scripts.errors import InputError
from scripts.files import absolute

from .faults import Fault
from .grouped import bids_cases, patient_cases
from .pairs import IMAGES, LABELS, paired_cases

FORMS = (
    "nnU-Net raw or MSD (a dataset.json), images/ and labels/ with equal file names, BIDS "
    "(sub-<id>_<contrast>.nii.gz with a mask, dseg, msk or lesion), or a folder per case with one label file"
)


@dataclass(frozen=True)
class Source:
    """What a folder holds, before any image is read.

    Attributes:
        folder: as an absolute path.
        form: of the folder, in words.
        cases: `{"case", "image", "label"}` sorted by case; paths are absolute and may be missing.
        faults: what is wrong already.
        channels: names in order, None where nothing states them.
        labels: values by name, None where nothing states them.
        regions: unions of label values by name, where a dataset.json of nnU-Net has them.
        patient_pattern: expression for the patient in a case's name, where the form has one.
        content: of the dataset.json, empty where there is none.
    """

    folder: Path
    form: str
    cases: list[dict[str, Any]]
    faults: list[Fault] = field(default_factory=list)
    channels: list[str] | None = None
    labels: dict[str, int] | None = None
    regions: dict[str, list[int]] | None = None
    patient_pattern: str | None = None
    content: dict[str, Any] = field(default_factory=dict)

    @property
    def has_dataset_json(self) -> bool:
        """Tell whether bundles can read the folder as it is."""
        return bool(self.content)


def find_source(data: str | Path, channels: list[str] | None = None) -> Source:
    """Recognise the form of a folder and list its cases.

    Args:
        data: the folder; nothing is ever written to it.
        channels: contrasts to take, in order, where the form names images by contrast.

    Returns:
        Its content.

    Raises:
        InputError: if it is no folder, holds nothing of a known form, or its dataset.json is malformed.
    """
    folder = absolute(data)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give one with labelled scans, {FORMS}")
    if (folder / "dataset.json").is_file():
        return _stated(folder)
    if _child(folder, IMAGES) and _child(folder, LABELS):
        return _source(folder, "images and labels", paired_cases, channels)
    names = (name for _, files in folders_below(folder) for name in files)
    if any(name.startswith("sub-") and name.lower().endswith(SUFFIXES) for name in names):
        return _source(folder, "BIDS", bids_cases, channels, patient_pattern="^(sub-[^_]+)")
    if any(folder.glob("*/*")):
        return _source(folder, "a folder per case", patient_cases, channels)
    raise InputError(f"{folder} holds no labelled scans of a known form: expected {FORMS}")


def _source(folder: Path, form: str, find: Callable[..., Any], channels: list[str] | None, **known: Any) -> Source:
    cases, faults, found = find(folder, channels)
    if not cases and not faults:
        raise InputError(f"{folder} looks like {form}, but has no labelled case: expected {FORMS}")
    return Source(folder, form, sorted(cases, key=lambda case: case["case"]), faults, channels or found, **known)


def _stated(folder: Path) -> Source:
    """Return what a dataset.json says."""
    content = read_dataset_json(folder)
    form = "nnU-Net raw" if "file_ending" in content else "Medical Segmentation Decathlon"
    labels, regions = _labels(stated_labels(content), folder / "dataset.json")
    cases = listed_cases(folder, content)
    return Source(folder, form, cases, [], stated_channels(content), labels, regions, content=content)


def _labels(stated: dict[str, Any], path: Path) -> tuple[dict[str, int], dict[str, list[int]] | None]:
    """Return label values by name and regions by name, if a dataset.json states what can be learnt."""
    for name, number in stated.items():
        numbers = number if isinstance(number, list) else [number]
        if not numbers or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers):
            raise InputError(f"{path} has the label {name} of {number}: give whole numbers from 0")
    if names_ignored(stated):
        raise InputError(f"{path} has {IGNORED}")
    if not any(isinstance(value, list) for value in stated.values()):
        return dict(sorted(stated.items(), key=lambda item: item[1])), None
    regions = {name: v if isinstance(v, list) else [v] for name, v in stated.items() if v not in (0, [0])}
    ids = sorted({n for numbers in regions.values() for n in numbers})
    return {"background": 0} | {f"label {n}": n for n in ids}, regions


def _child(folder: Path, names: tuple[str, ...]) -> bool:
    return any((folder / name).is_dir() for name in names)
