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

from ..errors import InputError
from ..files import save_csv, save_json
from ..metrics import EMPTY_RULE, segmentation_scores, summary


class SegmentationReport:
    """Score every case on its original grid and write `metrics.csv` and `metrics.json`.

    Expects decollated output with `pred` and `label` of one channel of label ids, and `case` in the batch.

    Args:
        output_dir: folder of the two files.
        classes: id of each class, or ids of each region.
        nsd_tolerance_mm: of the normalised surface Dice.
        distance_unit: of HD95: "mm", or "voxel" of the spacing that the network works at, as some papers report it.
        spacing: that spacing in mm, axes to the right, to the front and upwards.
        reported_classes: classes that the mean is taken over; None for all.
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
        **facts: Any,
    ) -> None:
        unknown = [name for name in reported_classes or () if name not in classes or classes[name] == 0]
        if unknown:
            raise InputError(f"reported_classes names {', '.join(unknown)}: give names out of {', '.join(classes)}")
        if distance_unit not in ("mm", "voxel"):
            raise InputError(f"distance_unit is {distance_unit!r}: give mm or voxel")
        self.folder = Path(output_dir)
        self.classes = classes
        self.tolerance = nsd_tolerance_mm
        self.voxel_mm = np.array(spacing, dtype=float) if distance_unit == "voxel" else None
        self.reported = reported_classes
        self.facts = facts
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, lambda _: self.rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def score(self, engine: Engine) -> None:
        """Score the cases of this iteration."""
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            affine = output["label"].affine
            spacing = affine_to_spacing(affine).tolist()
            axes = io_orientation(affine.cpu().numpy())[:, 0].astype(
                int
            )  # the image's axes need not be in the order of RAS
            voxel_mm = None if self.voxel_mm is None else self.voxel_mm[axes].tolist()
            prediction, reference = (torch.as_tensor(output[key][0]).round() for key in ("pred", "label"))
            scores = segmentation_scores(prediction, reference, self.classes, spacing, self.tolerance, voxel_mm)
            self.rows += [{"case": item["case"], **row} for row in scores]

    def write(self, engine: Engine) -> None:
        """Write the files and log the means."""
        means = summary(self.rows, self.reported)
        report = {
            **self.facts,
            "nsd_tolerance_mm": self.tolerance,
            "empty_rule": EMPTY_RULE,
            "reported_classes": self.reported,
            "summary": means,
            "cases": [
                {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in self.rows
            ],
        }
        save_csv(self.rows, self.folder / "metrics.csv")
        save_json(report, self.folder / "metrics.json")
        for name, scores in means.items():
            text = ", ".join(
                f"{metric} {value['mean']:.4f}" for metric, value in scores.items() if value["mean"] is not None
            )
            logging.getLogger(__name__).info("%s: %s (n = %s)", name, text, scores["dsc"]["n"])
        logging.getLogger(__name__).info("scores of every case in %s", self.folder / "metrics.csv")
