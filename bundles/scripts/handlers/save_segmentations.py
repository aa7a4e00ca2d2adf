"""What inference writes: label maps, volumes, and DICOM segmentations."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents

from ..dicom_seg import Codes, save_dicom_seg
from ..errors import InputError
from ..files import one_at_a_time, save_csv, save_nifti

logger = logging.getLogger(__name__)
FORMATS = ("nifti", "dicomseg")


class SaveSegmentations:
    """Write each case's label ids as `<case>_seg.nii.gz` on its original grid.

    Expects decollated output with `pred` of one channel of label ids, and `case` in the batch.

    Args:
        output_dir: folder of the files.
    """

    def __init__(self, output_dir: str) -> None:
        self.folder = Path(output_dir)
        self.saved: set[str] = set()

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, lambda _: self.saved.clear())
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.warn_of_former)

    def __call__(self, engine: Engine) -> None:
        """Write the cases of this iteration."""
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            path = self.path(item["case"])
            verb = "replaces" if path.exists() else "is"
            save_nifti(label_map(output), affine_of(output), path)
            self.saved.add(item["case"])
            logger.info("%s: its segmentation %s %s", item["case"], verb, path)

    def warn_of_former(self, engine: Engine) -> None:
        """Say where a case that failed has a segmentation, which can only be one of an earlier run."""
        for case in engine.failures.keys() - self.saved:
            if self.path(case).exists():
                logger.warning("case %s failed, %s is of an earlier run", case, self.path(case))

    def path(self, case: str) -> Path:
        """Return the file of a case."""
        return self.folder / f"{case}_seg.nii.gz"


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
        with open(self.path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) == self.columns:
                return list(reader)
        raise InputError(
            f"{self.path} is there and has not the columns {', '.join(self.columns)}: move it, or give another "
            "output_dir"
        )


class SaveDicomSegmentations:
    """Write each case's segmentation as `<case>_seg.dcm`, if asked for.

    Expects `source` in the batch, the folder of the case's DICOM series.

    Args:
        output_dir: folder of the files.
        output_format: "nifti" writes none, "dicomseg" does.
        labels: label id of each structure; 0 is left out.
        codes: see `save_dicom_seg`.
        algorithm: name of what segmented, for the file's header.
        version: its version.
    """

    def __init__(
        self, output_dir: str, output_format: str, labels: Mapping[str, int], codes: Codes, algorithm: str, version: str
    ) -> None:
        if output_format not in FORMATS:
            raise InputError(f"output_format is {output_format!r}; allowed are {', '.join(FORMATS)}")
        self.folder = Path(output_dir)
        self.wanted = output_format == "dicomseg"
        self.labels = {name: value for name, value in labels.items() if value != 0}
        self.codes = codes
        self.algorithm = (algorithm, version)

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator, if there is something to do."""
        if self.wanted:
            engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the cases of this iteration."""
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            path = self.folder / f"{item['case']}_seg.dcm"
            volume = (label_map(output), affine_of(output))
            save_dicom_seg(*volume, item["source"], path, self.labels, self.codes, self.algorithm)
            logger.info("%s: its DICOM segmentation is %s", item["case"], path)


def label_map(output: Mapping[str, torch.Tensor]) -> np.ndarray:
    """Return the predicted label ids (D, H, W) as 8-bit numbers."""
    return output["pred"][0].cpu().numpy().astype(np.uint8)


def affine_of(output: Mapping[str, Any]) -> np.ndarray:
    """Return the prediction's RAS affine in mm."""
    affine: np.ndarray = output["pred"].affine.cpu().numpy().astype(float)
    return affine
