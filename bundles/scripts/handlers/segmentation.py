"""The account of an evaluation."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import affine_to_spacing

from ..files import save_csv, save_json, save_nifti
from ..metrics import EMPTY_RULE, segmentation_scores, summary


class SaveSegmentations:
    """Write each case's label ids as `<case>_seg.nii.gz` on its original grid.

    Expects decollated output with `pred` of one channel of label ids, and `case` in the batch.

    Args:
        output_dir: folder of the files.
    """

    def __init__(self, output_dir: str) -> None:
        self.folder = Path(output_dir)

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the cases of this iteration."""
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            path = self.folder / f"{item['case']}_seg.nii.gz"
            verb = "replaces" if path.exists() else "is"
            segmentation = output["pred"]
            save_nifti(segmentation[0].cpu().numpy().astype(np.uint8), segmentation.affine.cpu().numpy(), path)
            logging.getLogger(__name__).info("%s: its segmentation %s %s", item["case"], verb, path)


class SegmentationReport:
    """Score every case on its original grid and write `metrics.csv` and `metrics.json`.

    Expects decollated output with `pred` and `label` of one channel of label ids, and `case` in the batch.

    Args:
        output_dir: folder of the two files.
        labels: id of each class.
        nsd_tolerance_mm: of the normalised surface Dice.
        facts: what else the JSON shall say, such as the part of the data and the checkpoint.
    """

    def __init__(self, output_dir: str, labels: dict[str, int], nsd_tolerance_mm: float = 1.0, **facts: Any) -> None:
        self.folder = Path(output_dir)
        self.labels = {name: int(value) for name, value in labels.items()}
        self.tolerance = nsd_tolerance_mm
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
            spacing = affine_to_spacing(output["label"].affine)
            prediction, reference = (torch.as_tensor(output[key][0]).round() for key in ("pred", "label"))
            scores = segmentation_scores(prediction, reference, self.labels, spacing.tolist(), self.tolerance)
            self.rows += [{"case": item["case"], **row} for row in scores]

    def write(self, engine: Engine) -> None:
        """Write the files and log the means."""
        means = summary(self.rows)
        report = {
            **self.facts,
            "nsd_tolerance_mm": self.tolerance,
            "empty_rule": EMPTY_RULE,
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
