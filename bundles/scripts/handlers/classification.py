"""The account of a classification: probabilities of every image, and scores where the truth is known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from ..errors import NOT_FINITE, InputError
from ..files import keep_former, save_csv, save_json
from ..metrics import BOOTSTRAP_RULE, auc_report
from .one_process import check_one_process


class SaveProbabilities:
    """Write `probabilities.csv`, one row per image and one column per finding.

    Expects decollated output whose `pred` are probabilities (F,), and `case` in the batch.

    Args:
        output_dir: folder of the file.
        labels: the findings' names in order.
    """

    def __init__(self, output_dir: str, labels: Sequence[str]) -> None:
        self.folder = Path(output_dir)
        self.labels = list(labels)
        self.items: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        engine.add_event_handler(Events.STARTED, check_one_process)
        engine.add_event_handler(Events.STARTED, lambda _: self.items.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def collect(self, engine: Engine) -> None:
        """Keep what this iteration found.

        Raises:
            InputError: if that is no number, of which no score would tell.
        """
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            if not output["pred"].isfinite().all():
                raise InputError(NOT_FINITE)
            kept = {key: item[key] for key in ("case", "patient") if key in item}
            self.items.append(
                {**kept, **{k: output[k].cpu().numpy() for k in ("pred", "label") if output.get(k) is not None}}
            )

    def write(self, engine: Engine) -> None:
        """Write the probabilities; those of an earlier run are kept."""
        keep_former(self.folder, ("probabilities.csv",))
        rows = [
            {"case": i["case"], **{name: f"{p:.6f}" for name, p in zip(self.labels, i["pred"], strict=True)}}
            for i in self.items
        ]
        save_csv(rows, self.folder / "probabilities.csv")
        logging.getLogger(__name__).info(
            "probabilities of %d images in %s", len(rows), self.folder / "probabilities.csv"
        )


class ClassificationReport(SaveProbabilities):
    """Write the probabilities, and per finding AUC and interval to `metrics.csv` and `metrics.json`.

    Expects `label` (F,) in the output and `patient` in the batch besides. The mean AUC is the engine's metric
    `mean_auc`, for whoever runs the evaluator from outside, such as a federated client.

    Args:
        output_dir: folder of the files.
        labels: the findings' names in order.
        num_resamples: of the bootstrap.
        facts: what else the JSON shall say, such as the part of the data and the checkpoint.
    """

    def __init__(self, output_dir: str, labels: Sequence[str], num_resamples: int = 1000, **facts: Any) -> None:
        super().__init__(output_dir, labels)
        self.num_resamples = num_resamples
        self.facts = facts

    def write(self, engine: Engine) -> None:
        """Write the files and log the scores."""
        keep_former(self.folder, ("probabilities.csv", "metrics.csv", "metrics.json"))
        super().write(engine)
        report = auc_report(
            np.stack([item["pred"] for item in self.items]),
            np.stack([item["label"] for item in self.items]),
            [item["patient"] for item in self.items],
            self.labels,
            self.num_resamples,
        )
        rows = [{"finding": name, **row} for name, row in report["findings"].items()]
        save_csv(rows, self.folder / "metrics.csv")
        facts = {**self.facts, "num_resamples": self.num_resamples, "rule": BOOTSTRAP_RULE}
        save_json({**facts, **report}, self.folder / "metrics.json")
        log = logging.getLogger(__name__)
        if report["left_out"]:
            log.warning("left out, since these images lack one of the classes: %s", ", ".join(report["left_out"]))
        mean = report["mean"]
        engine.state.metrics["mean_auc"] = mean["auc"]
        if mean["auc"] is not None:
            log.info(
                "mean AUC %.4f [%.4f, %.4f] over %d findings (n = %d images of %d patients), each in %s",
                *(mean[name] for name in ("auc", "low", "high", "findings")),
                report["images"],
                report["patients"],
                self.folder / "metrics.csv",
            )
