"""Weights for evaluation and inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from ..checkpoints import load_ensemble, load_weights
from ..checkpoints.classes import Classes
from ..errors import InputError


class BundleCheckpointLoader:
    """Load the weights of exactly this network when an engine starts, or stop with one clear line.

    Federated clients, which bring their own weights, disable it by its name.

    Args:
        network: to fill.
        source: checkpoint file, bundle folder or release zip; of an ensemble one or more.
        classes: those that the network shall tell apart, if any; weights for others are refused.
        unseen: marks of the cases that it must not have been trained on, see `scripts.data.case_marks`.
        spacing: of the voxels that the network shall see, in mm, if known; weights for others are refused.
        ensemble: give the engine an `Ensemble` where several networks are found, instead of refusing them.
    """

    def __init__(
        self,
        network: nn.Module,
        source: str | Path | Sequence[str | Path],
        classes: Classes | None = None,
        unseen: Sequence[str] = (),
        spacing: Sequence[float] | None = None,
        ensemble: bool = False,
    ) -> None:
        self.network = network
        self.source = source
        self.classes = classes
        self.unseen = unseen
        self.spacing = spacing
        self.ensemble = ensemble

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load."""
        if not self.source:
            raise InputError(f"checkpoint is {self.source!r}: name a checkpoint, bundle folder or bundle zip")
        if self.ensemble:
            engine.network = load_ensemble(self.network, self.source, self.classes, self.unseen, self.spacing)
        elif isinstance(self.source, str | Path):
            load_weights(self.network, self.source, self.classes, self.unseen, self.spacing)
        else:
            raise InputError(f"checkpoint is a list of {len(self.source)}: this task runs one network at a time")
