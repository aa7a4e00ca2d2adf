"""The account of a masked autoencoder: numbers, volumes and pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ignite.engine import Engine, Events
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from ..figures import reconstruction_figure
from ..files import keep_former, save_csv, save_json, save_nifti, write_atomically
from ..metrics import reconstruction_scores
from ..pretraining.masks import expand_mask
from ..pretraining.targets import Targets, VoxelTargets
from .one_process import check_one_process


class Case(NamedTuple):
    """One image without its padding: tensors (1, C, *size), the mask (1, 1, *size) with True = hidden.

    `prediction` is of what `targets` makes of the image; `shown` is the same in the image's intensities.
    """

    name: str
    image: torch.Tensor
    hidden: torch.Tensor
    prediction: torch.Tensor
    shown: torch.Tensor
    targets: Callable[[torch.Tensor], torch.Tensor]
    affine: np.ndarray


def cases_of(engine: Engine, targets: Targets) -> Iterator[Case]:
    """Yield the cases of an evaluator's iteration, whose output is not decollated."""
    batch, output = engine.state.batch, engine.state.output
    image, mask = output["label"]
    hidden = expand_mask(mask, image.shape[2:])
    shown = targets.shown(output["pred"], image)
    for b, name in enumerate(batch["case"]):
        size = batch["size"][b].tolist() if "size" in batch else image.shape[2:]
        inside = (slice(b, b + 1), slice(None), *(slice(n) for n in size))
        yield Case(
            name,
            image[inside],
            hidden[inside],
            output["pred"][inside],
            shown[inside],
            partial(_targets_inside, targets, image[b : b + 1], size),
            # an image from a PNG has no place in space
            batch["image_affine"][b].numpy().astype(float) if "image_affine" in batch else np.eye(4),
        )


def _targets_inside(targets: Targets, padded: torch.Tensor, size: Sequence[int], image: torch.Tensor) -> torch.Tensor:
    """Return the targets of an image without its padding, which cells at the border need to be whole."""
    inside = (slice(None), slice(None), *(slice(n) for n in size))
    whole = padded.clone()
    whole[inside] = image
    return targets(whole)[inside]


class ReconstructionReport:
    """Write per case the error on hidden voxels beside that of trivial predictors, as CSV and JSON.

    Args:
        output_dir: folder of `reconstruction.csv` and `reconstruction.json`.
        targets: what is predicted of the image, as in `MaskedMSELoss`; errors are in its terms.
        facts: what else the JSON shall say, such as mask ratio and cell size.
    """

    def __init__(self, output_dir: str, targets: Targets | None = None, **facts: Any) -> None:
        self.folder = Path(output_dir)
        self.targets = targets or VoxelTargets()
        self.facts = facts
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, check_one_process)
        engine.add_event_handler(Events.STARTED, lambda _: self.rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def score(self, engine: Engine) -> None:
        """Score the cases of this iteration."""
        for case in cases_of(engine, self.targets):
            scores = reconstruction_scores(case.prediction, case.image, case.hidden, case.targets)
            self.rows.append({"case": case.name, **scores})

    def write(self, engine: Engine) -> None:
        """Write the files and log the means."""
        errors = ("mse", "mse_mean", "mse_interpolation")
        means = {name: float(np.mean([row[name] for row in self.rows])) for name in errors}
        keep_former(self.folder, ("reconstruction.csv", "reconstruction.json"))
        save_csv(self.rows, self.folder / "reconstruction.csv")
        save_json({**self.facts, "mean": means, "cases": self.rows}, self.folder / "reconstruction.json")
        logging.getLogger(__name__).info(
            "squared error on hidden voxels: network %.4f, mean of the visible %.4f, interpolation %.4f (n = %d)",
            *means.values(),
            len(self.rows),
        )


class SaveReconstructions:
    """Write original, masked volume and reconstruction as NIfTI on one grid, and a picture, per case.

    Hidden voxels of the masked volume are at its minimum; the reconstruction keeps the visible voxels. Where cells are
    normalised, a hidden one is shown by its own true mean and deviation (see `CellNormalizedTargets.shown`). Of images
    in two dimensions there is the picture only.

    Args:
        output_dir: gets a folder per case.
        targets: what is predicted of the image, as in `MaskedMSELoss`.
    """

    def __init__(self, output_dir: str, targets: Targets | None = None) -> None:
        self.folder = Path(output_dir)
        self.targets = targets or VoxelTargets()

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the cases of this iteration."""
        for case in cases_of(engine, self.targets):
            stem = self.folder / case.name / case.name
            volumes = _volumes(case) if case.image.dim() == 5 else {}
            what = ("three volumes and " if volumes else "") + "a picture"
            what += ", replacing former ones," if stem.parent.exists() else ""
            for name, volume in volumes.items():
                # NIfTI wants channels last, and none where there is one
                data = volume[0].movedim(0, -1).squeeze(-1).float().cpu().numpy()
                save_nifti(data, case.affine, f"{stem}_{name}.nii.gz")
            figure = _figure(case)
            write_atomically(f"{stem}.png", partial(figure.savefig, dpi=100))
            logging.getLogger(__name__).info("%s: %s in %s", case.name, what, stem.parent)


class ReconstructionPictures:
    """Show the first validation case in TensorBoard after every validation, as `SaveReconstructions` does.

    Args:
        log_dir: of the TensorBoard events.
        targets: what is predicted of the image, as in `MaskedMSELoss`.
    """

    def __init__(self, log_dir: str, targets: Targets | None = None) -> None:
        self.log_dir = log_dir
        self.targets = targets or VoxelTargets()

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Add the picture."""
        if engine.state.iteration == 1:
            with SummaryWriter(self.log_dir) as writer:
                writer.add_figure("reconstruction", _figure(next(cases_of(engine, self.targets))), engine.state.epoch)


def _volumes(case: Case) -> dict[str, torch.Tensor]:
    return {
        "original": case.image,
        "masked": torch.where(case.hidden, case.image.amin(), case.image),
        "reconstruction": torch.where(case.hidden, case.shown.to(case.image.dtype), case.image),
    }


def _figure(case: Case) -> Figure:
    image, hidden, shown = (t[0, 0].float().cpu().numpy() for t in (case.image, case.hidden, case.shown))
    return reconstruction_figure(image, hidden > 0, np.where(hidden > 0, shown, image), case.name)
