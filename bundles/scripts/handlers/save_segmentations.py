"""The segmentations that inference writes: label maps, and DICOM segmentations."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents

from ..dicom_seg import Codes, save_dicom_seg
from ..errors import InputError
from ..files import save_nifti

logger = logging.getLogger(__name__)
FORMATS = ("nifti", "dicomseg")


class SaveSegmentations:
    """Write each case's label ids as `<case>_seg.nii.gz` on its original grid.

    Expects a `CaseEvaluator`, which knows the cases that failed, decollated output with `pred` of one channel of label
    ids, and `case` in the batch.

    Args:
        output_dir: folder of the files.
    """

    ending = ".nii.gz"

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
            self.write(item, output, path)
            self.saved.add(item["case"])
            logger.info("%s: its segmentation %s %s", item["case"], verb, path)

    def write(self, item: Mapping[str, Any], output: Mapping[str, Any], path: Path) -> None:
        """Write one case."""
        save_nifti(label_map(output), affine_of(output), path)

    def warn_of_former(self, engine: Engine) -> None:
        """Say where a case that failed has a segmentation, which can only be one of an earlier run."""
        for case in engine.failures.keys() - self.saved:
            if self.path(case).exists():
                logger.warning("case %s failed, %s is of an earlier run", case, self.path(case))

    def path(self, case: str) -> Path:
        """Return the file of a case."""
        return self.folder / f"{case}_seg{self.ending}"


class SaveDicomSegmentations(SaveSegmentations):
    """Write each case's segmentation as `<case>_seg.dcm`, if asked for; else warn of those of an earlier run.

    Expects `source` in the batch besides, the folder of the case's DICOM series.

    Args:
        output_dir: folder of the files.
        output_format: "nifti" writes none, "dicomseg" does.
        labels: label id of each structure; 0 is left out.
        codes: see `save_dicom_seg`.
        algorithm: name of what segmented, for the file's header.
        version: its version.
    """

    ending = ".dcm"

    def __init__(
        self, output_dir: str, output_format: str, labels: Mapping[str, int], codes: Codes, algorithm: str, version: str
    ) -> None:
        if output_format not in FORMATS:
            raise InputError(f"output_format is {output_format!r}; allowed are {', '.join(FORMATS)}")
        super().__init__(output_dir)
        self.wanted = output_format == "dicomseg"
        self.labels = {name: value for name, value in labels.items() if value != 0}
        self.codes = codes
        self.algorithm = (algorithm, version)

    def __call__(self, engine: Engine) -> None:
        """Write the cases of this iteration, or name the files that are older than their segmentations."""
        if self.wanted:
            super().__call__(engine)
            return
        for path in [self.path(item["case"]) for item in engine.state.batch]:
            if path.exists():
                logger.warning("%s is of an earlier run: remove it, or give --output_format dicomseg", path)

    def write(self, item: Mapping[str, Any], output: Mapping[str, Any], path: Path) -> None:
        """Write one case."""
        volume = (label_map(output), affine_of(output))
        save_dicom_seg(*volume, item["source"], path, self.labels, self.codes, self.algorithm)


def label_map(output: Mapping[str, torch.Tensor]) -> np.ndarray:
    """Return the predicted label ids (D, H, W) as 8-bit numbers."""
    return output["pred"][0].cpu().numpy().astype(np.uint8)


def affine_of(output: Mapping[str, Any]) -> np.ndarray:
    """Return the prediction's RAS affine in mm."""
    affine: np.ndarray = output["pred"].affine.cpu().numpy().astype(float)
    return affine
