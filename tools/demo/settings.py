"""The demo's numbers in one table, and what the user asked for, checked before anything runs."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from scripts.data import pretraining_scans
from scripts.data.cases import labelled_cases
from scripts.errors import InputError

from ..commands import Knobs
from ..memory import Cost, bytes_of
from ..overrides import digest
from ..project import ROOT

PRETRAIN, SEGMENT = "spark3d_pretrain", "hippocampus_segmentation"
PRETRAINS_ON_DATA = (
    "no unlabelled scans are given, so pretraining sees the images of the labelled folder but those of the test cases, "
    "and no labels; small crops are let in, whatever their field of view and file size"
)


@dataclass(frozen=True)
class Schedule:
    """How long each training takes; epochs grow with `--minutes`, everything else stays.

    Attributes:
        minutes: about how long the demo then takes on 2 cores.
        pretrain: knobs of the pretraining.
        segment: knobs of both fine-tuning arms.
        warm_up: share of the steps in which the pretrained network's decoder, and again the whole, is warmed up.
    """

    minutes: float
    pretrain: Knobs
    segment: Knobs
    warm_up: float = 0.1


GENERATED = Schedule(
    minutes=8,
    pretrain={"max_epochs": 8, "steps_per_epoch": 20, "val_interval": 2, "batch_size": 2},
    segment={"max_epochs": 14, "steps_per_epoch": 20, "val_interval": 2, "batch_size": 2},
)
REAL = Schedule(
    minutes=45,
    pretrain={"max_epochs": 16, "steps_per_epoch": 50, "val_interval": 4, "batch_size": 2},
    segment={"max_epochs": 40, "steps_per_epoch": 50, "val_interval": 4, "batch_size": 2},
)


@dataclass(frozen=True)
class Settings:
    """All that decides what a demo computes; a folder holds the results of one of these only.

    Attributes:
        data: folder in MSD layout, or None for generated data.
        unlabelled: folder of the pretraining scans, or None where they are generated or are those of `data`.
        num_labelled: number of cases in `data`, 0 for generated data.
        num_unlabelled: number of pretraining scans, 0 for generated data.
        minutes: about how long it takes on 2 cores.
        pretrain: knobs of the pretraining.
        segment: knobs of both fine-tuning arms.
        warm_up_steps: length of each of the pretrained network's two warm-up phases.
        memory: to which batches were lowered, for the commands that repeat it; the batches are what counts.
    """

    data: str | None
    unlabelled: str | None
    num_labelled: int
    num_unlabelled: int
    minutes: float
    pretrain: Knobs
    segment: Knobs
    warm_up_steps: int
    memory: str | None = field(default=None, compare=False)

    @property
    def pretrains_on_data(self) -> bool:
        """Whether the labelled folder's images, but for the test cases', are the pretraining scans as well."""
        return self.data is not None and self.unlabelled is None

    def deciding(self) -> dict[str, Any]:
        """Return by name what two equal settings share."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.compare}

    def fingerprint(self) -> str:
        """Return a hash that two settings share if and only if they are equal."""
        return digest(self.deciding())


def make_settings(
    data: str = "", unlabelled: str = "", minutes: float | None = None, memory: str | None = None
) -> Settings:
    """Check what the user asked for before anything runs.

    Args:
        data: folder in MSD layout, "" for generated data.
        unlabelled: folder of scans to pretrain on, "" for the images of `data`.
        minutes: about how long the demo may take on 2 cores; None for the table's own.
        memory: what a training step may take, such as "1GB", where the table's batches may be too large.

    Returns:
        The settings, with absolute paths.

    Raises:
        InputError: if the data is missing or unfit, there are no scans, or time or memory are too little.
    """
    if unlabelled and not data:
        raise InputError(f"unlabelled {unlabelled!r} without data: name a folder in MSD layout as data as well")
    # what is unfit shall be told now, not after the pretraining
    cases = segmentation_cases(Path(data)) if data else []
    scans = pretraining_scans(unlabelled or Path(data) / "imagesTr") if data else []
    table = REAL if data else GENERATED
    if minutes is not None and not minutes > 0:
        raise InputError(f"minutes {minutes}: give a number above 0")
    factor = 1.0 if minutes is None else minutes / table.minutes
    pretrain, segment = _scaled(table.pretrain, factor), _scaled(table.segment, factor)
    if memory is not None:
        pretrain, segment = (
            _fitted(knobs, bundle, configs, memory)
            for knobs, bundle, configs in ((pretrain, PRETRAIN, ("train", "compact")), (segment, SEGMENT, ("train",)))
        )
    return Settings(
        data=str(Path(data).resolve()) if data else None,
        unlabelled=str(Path(unlabelled).resolve()) if unlabelled else None,
        num_labelled=len(cases),
        num_unlabelled=len(scans),
        minutes=table.minutes * factor,
        pretrain=pretrain,
        segment=segment,
        warm_up_steps=round(table.warm_up * segment["max_epochs"] * segment["steps_per_epoch"]),
        memory=None if memory is None else str(memory),
    )


def segmentation_cases(data: Path) -> list[dict[str, Any]]:
    """List the labelled cases as the segmentation bundle would, which checks each of them against the bundle.

    Args:
        data: folder in MSD or nnU-Net raw layout.

    Returns:
        One dict with `case`, `image` (a list for several channel files) and `label` per case.

    Raises:
        InputError: the data is not for this bundle, or a case is unfit.
    """
    config = segmentation_config()
    try:
        return labelled_cases(data, config["labels"], config["channels"], spacing=config["spacing"])
    except InputError as error:
        raise InputError(
            f"{error} (the demo takes data of {SEGMENT} alone; "
            f"for others: python -m tools.new_bundle <name> --data {data})"
        ) from None


def segmentation_config() -> dict[str, Any]:
    """Return the segmentation bundle's train.json, whose `labels` and `channels` say what it is for."""
    config: dict[str, Any] = json.loads((ROOT / "bundles" / SEGMENT / "configs" / "train.json").read_text())
    return config


def _fitted(knobs: Knobs, bundle: str, configs: Sequence[str], memory: str) -> Knobs:
    """Lower the batch to what a training step has memory for."""
    folder = ROOT / "bundles" / bundle / "configs"
    cost = Cost(ConfigParser(ConfigParser.load_config_files([folder / f"{name}.json" for name in configs])))
    batch = min(knobs["batch_size"], cost.largest_batch(bytes_of(memory)))
    if not batch:
        raise InputError(f"memory {memory} is too small: a step of {bundle} takes {cost.peak(1) / 1e9:.2g} GB")
    return knobs | {"batch_size": batch}


def _scaled(knobs: Knobs, factor: float) -> Knobs:
    """Scale the epochs to a whole number of validation intervals, at least one."""
    epochs, interval = knobs["max_epochs"], knobs["val_interval"]
    return knobs | {"max_epochs": interval * max(1, math.floor(epochs * factor / interval + 0.5))}
