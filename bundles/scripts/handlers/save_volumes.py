"""The table of volumes that inference writes."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ignite.engine import Engine, Events
from monai.engines import IterationEvents

from ..errors import InputError
from ..files import one_at_a_time, save_csv
from .save_segmentations import affine_of, label_map

logger = logging.getLogger(__name__)


class SaveVolumes:
    """Keep `volumes.csv`, the volume in ml of every structure of every case that is segmented in the folder.

    The cases of a run lose their former rows when it starts, so that one that fails has none; other rows stay.

    Args:
        output_dir: folder of the file.
        structures: label id of each structure, or ids of a region; 0 is left out.
    """

    columns = ("case", "structure", "volume_ml")

    def __init__(self, output_dir: str, structures: Mapping[str, int | Sequence[int]]) -> None:
        self.path = Path(output_dir) / "volumes.csv"
        self.structures = {name: ids for name, ids in structures.items() if ids != 0}

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, self.forget)
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda _: logger.info("volumes in ml: %s", self.path))

    def forget(self, engine: Engine) -> None:
        """Drop the rows of the cases that are about to be segmented."""
        if self.path.exists():
            self._update({item["case"] for item in engine.state.dataloader.dataset.data}, [])

    def __call__(self, engine: Engine) -> None:
        """Add the cases of this iteration, at once also to the file, for a run may be stopped."""
        rows = []
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            labels = label_map(output)
            voxel_ml = abs(np.linalg.det(affine_of(output)[:3, :3])) / 1000
            for name, ids in self.structures.items():
                volume = np.isin(labels, ids).sum() * voxel_ml
                rows.append({"case": item["case"], "structure": name, "volume_ml": f"{volume:.4f}"})
        self._update({row["case"] for row in rows}, rows)

    def _update(self, cases: set[str], rows: list[dict[str, str]]) -> None:
        """Put rows in the place of those of some cases; other runs into the folder wait meanwhile."""
        with one_at_a_time(self.path.parent):
            kept = [row for row in self._former() if row["case"] not in cases]
            save_csv(sorted([*kept, *rows], key=lambda row: row["case"]), self.path, self.columns)

    def _former(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with open(self.path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) == self.columns:
                return list(reader)
        raise InputError(
            f"{self.path} is there and has not the columns {', '.join(self.columns)}: move it, or give another "
            "output_dir"
        )
