"""The account of a masked autoencoder: numbers, volumes and pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ignite.engine import Engine, Events
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from ..figures import reconstruction_figure
from ..files import save_csv, save_json, save_nifti, write_atomically
from ..metrics import reconstruction_scores
from ..pretraining.masks import expand_mask


class Case(NamedTuple):
    """One volume without its padding: tensors (1, C, D, H, W), the mask (1, 1, D, H, W) with True = hidden."""

    name: str
    image: torch.Tensor
    hidden: torch.Tensor
    prediction: torch.Tensor
    affine: np.ndarray


def cases_of(engine: Engine) -> Iterator[Case]:
    """Yield the cases of an evaluator's iteration, whose output is not decollated."""
    batch, output = engine.state.batch, engine.state.output
    image, mask = output["label"]
    hidden = expand_mask(mask, image.shape[2:])
    for b, name in enumerate(batch["case"]):
        size = batch["size"][b].tolist() if "size" in batch else image.shape[2:]
        inside = (slice(b, b + 1), slice(None), *(slice(n) for n in size))
        yield Case(
            name, image[inside], hidden[inside], output["pred"][inside], batch["image_affine"][b].numpy().astype(float)
        )


class ReconstructionReport:
    """Write per case the error on hidden voxels beside that of trivial predictors, as CSV and JSON.

    Args:
        output_dir: folder of `reconstruction.csv` and `reconstruction.json`.
        facts: what else the JSON shall say, such as mask ratio and cell size.
    """

    def __init__(self, output_dir: str, **facts: Any) -> None:
        self.folder = Path(output_dir)
        self.facts = facts
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, lambda _: self.rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def score(self, engine: Engine) -> None:
        """Score the cases of this iteration."""
        for case in cases_of(engine):
            scores = reconstruction_scores(case.prediction, case.image, case.hidden)
            self.rows.append({"case": case.name, **scores})

    def write(self, engine: Engine) -> None:
        """Write the files and log the means."""
        errors = ("mse", "mse_mean", "mse_interpolation")
        means = {name: float(np.mean([row[name] for row in self.rows])) for name in errors}
        save_csv(self.rows, self.folder / "reconstruction.csv")
        save_json({**self.facts, "mean": means, "cases": self.rows}, self.folder / "reconstruction.json")
        logging.getLogger(__name__).info(
            "squared error on hidden voxels: network %.4f, mean of the visible %.4f, interpolation %.4f (n = %d)",
            *means.values(),
            len(self.rows),
        )


class SaveReconstructions:
    """Write original, masked volume and reconstruction as NIfTI on one grid, and a picture, per case.

    Hidden voxels of the masked volume are at its minimum; the reconstruction keeps the visible voxels.

    Args:
        output_dir: gets a folder per case.
    """

    def __init__(self, output_dir: str) -> None:
        self.folder = Path(output_dir)

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the cases of this iteration."""
        for case in cases_of(engine):
            stem = self.folder / case.name / case.name
            what = "three volumes and a picture" + (", replacing former ones," if stem.parent.exists() else "")
            pasted = torch.where(case.hidden, case.prediction, case.image)
            masked = torch.where(case.hidden, case.image.amin(), case.image)
            for name, volume in {"original": case.image, "masked": masked, "reconstruction": pasted}.items():
                # NIfTI wants channels last, and none where there is one
                data = volume[0].movedim(0, -1).squeeze(-1).float().cpu().numpy()
                save_nifti(data, case.affine, f"{stem}_{name}.nii.gz")
            figure = _figure(case)
            write_atomically(f"{stem}.png", partial(figure.savefig, dpi=100))
            logging.getLogger(__name__).info("%s: %s in %s", case.name, what, stem.parent)


class ReconstructionPictures:
    """Show the first validation case in TensorBoard after every validation.

    Args:
        log_dir: of the TensorBoard events.
    """

    def __init__(self, log_dir: str) -> None:
        self.log_dir = log_dir

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Add the picture."""
        if engine.state.iteration == 1:
            with SummaryWriter(self.log_dir) as writer:
                writer.add_figure("reconstruction", _figure(next(cases_of(engine))), engine.state.epoch)


def _figure(case: Case) -> Figure:
    image, hidden, prediction = (t[0, 0].float().cpu().numpy() for t in (case.image, case.hidden, case.prediction))
    return reconstruction_figure(image, hidden > 0, np.where(hidden > 0, prediction, image), case.name)
