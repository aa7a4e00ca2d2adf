"""The account of an evaluation."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import affine_to_spacing
from nibabel.orientations import io_orientation

from ..errors import InputError, check_flags
from ..files import keep_former, save_csv, save_json
from ..metrics import (
    AGGREGATED_RULE,
    EMPTY_RULE,
    LESION_RULE,
    AggregatedDice,
    lesion_scores,
    lesions_of,
    segmentation_scores,
    summary,
)
from .one_process import check_one_process


class SegmentationReport:
    """Score every case on its original grid and write `metrics.csv` and `metrics.json`, if asked also `lesions.csv`.

    Expects decollated output with `pred` and `label` of one channel of label ids, and `case` in the batch. The mean
    DSC is the engine's metric `mean_dsc`, for whoever runs the evaluator from outside, such as a federated client.

    Args:
        output_dir: folder of the files.
        classes: id of each class, or ids of each region.
        nsd_tolerance_mm: of the normalised surface Dice.
        distance_unit: of HD95: "mm", or "voxel" of the spacing that the network works at, as some papers report it.
        spacing: that spacing in mm, axes to the right, to the front and upwards.
        reported_classes: classes that the mean is taken over; None for all.
        lesion_scores: count lesions as well, by case, over all cases, and each in `lesions.csv`; see `LESION_RULE`.
        facts: what else the JSON shall say, such as the part of the data and the checkpoint.

    Raises:
        InputError: for an unknown unit or class.
    """

    def __init__(
        self,
        output_dir: str,
        classes: dict[str, int | list[int]],
        nsd_tolerance_mm: float = 1.0,
        distance_unit: str = "mm",
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        reported_classes: Sequence[str] | None = None,
        lesion_scores: bool = False,
        **facts: Any,
    ) -> None:
        if isinstance(reported_classes, str):
            raise InputError(f"reported_classes is {reported_classes!r}: give a list, such as ['{reported_classes}']")
        unknown = [name for name in reported_classes or () if name not in classes or classes[name] == 0]
        if unknown:
            raise InputError(
                f"reported_classes names {', '.join(unknown)}: give names out of {', '.join(classes)}, "
                "or '$None' for all"
            )
        if distance_unit not in ("mm", "voxel"):
            raise InputError(f"distance_unit is {distance_unit!r}: give mm or voxel")
        check_flags(lesion_scores=lesion_scores)
        self.folder = Path(output_dir)
        self.classes = classes
        self.tolerance = nsd_tolerance_mm
        self.voxel_mm = np.array(spacing, dtype=float) if distance_unit == "voxel" else None
        self.reported = reported_classes
        self.counts_lesions = lesion_scores
        self.facts = facts
        self.rows: list[dict[str, Any]] = []
        self.lesions: list[dict[str, Any]] = []
        self.aggregated = AggregatedDice(classes)

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, check_one_process)
        engine.add_event_handler(Events.STARTED, self.reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def reset(self, _: Engine) -> None:
        """Forget the cases of a former run."""
        self.rows.clear()
        self.lesions.clear()
        self.aggregated.reset()

    def score(self, engine: Engine) -> None:
        """Score the cases of this iteration."""
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            affine = output["label"].affine
            spacing = affine_to_spacing(affine).tolist()
            # the image's axes need not be in the order of RAS
            axes = io_orientation(affine.cpu().numpy())[:, 0].astype(int)
            voxel_mm = None if self.voxel_mm is None else self.voxel_mm[axes].tolist()
            # labels come back from inverting on the CPU, references from the batch on the device
            pred, label = (torch.as_tensor(output[key][0]).cpu().round() for key in ("pred", "label"))
            rows = segmentation_scores(pred, label, self.classes, spacing, self.tolerance, voxel_mm)
            self.aggregated.add(pred, label, math.prod(spacing))
            if self.counts_lesions:
                found = [self._lesions([pred, label], row["class"], math.prod(spacing)) for row in rows]
                rows = [row | lesion_scores(lesions) for row, lesions in zip(rows, found, strict=True)]
                self.lesions += [{"case": item["case"], **lesion} for lesions in found for lesion in lesions]
            self.rows += [{"case": item["case"], **row} for row in rows]

    def _lesions(self, masks: list[torch.Tensor], name: str, voxel_mm3: float) -> list[dict[str, Any]]:
        ids = torch.tensor(self.classes[name])
        predicted, true = (torch.isin(mask, ids.to(mask)).cpu().numpy() for mask in masks)
        return [{"class": name, **lesion} for lesion in lesions_of(predicted, true, voxel_mm3)]

    def write(self, engine: Engine) -> None:
        """Write the files and log the means."""
        keep_former(self.folder, ("metrics.csv", "metrics.json", "lesions.csv"))
        means = summary(self.rows, self.reported)
        engine.state.metrics["mean_dsc"] = means["mean"]["dsc"]["mean"]
        aggregated = self.aggregated.result(self.reported)
        report = {
            **self.facts,
            "nsd_tolerance_mm": self.tolerance,
            "empty_rule": EMPTY_RULE,
            "reported_classes": self.reported,
            "summary": means,
            "aggregated_rule": AGGREGATED_RULE,
            "aggregated_dsc": aggregated,
            **(self._of_all_lesions() if self.counts_lesions else {}),
            "cases": [_without_nan(row) for row in self.rows],
        }
        save_csv(self.rows, self.folder / "metrics.csv")
        save_json(report, self.folder / "metrics.json")
        for name, scores in means.items():
            text = ", ".join(
                f"{metric} {value['mean']:.4f}" for metric, value in scores.items() if value["mean"] is not None
            )
            logging.getLogger(__name__).info("%s: %s (n = %s)", name, text, scores["dsc"]["n"])
        logging.getLogger(__name__).info("scores of every case in %s", self.folder / "metrics.csv")

    def _of_all_lesions(self) -> dict[str, Any]:
        names = [name for name, ids in self.classes.items() if ids != 0]
        columns = ("case", "class", "kind", "volume_mm3", "paired", "iou")
        save_csv(self.lesions, self.folder / "lesions.csv", columns)
        together = {name: lesion_scores([row for row in self.lesions if row["class"] == name]) for name in names}
        return {
            "lesion_rule": LESION_RULE,
            "lesions_of_all_cases": {name: _without_nan(scores) for name, scores in together.items()},
        }


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
