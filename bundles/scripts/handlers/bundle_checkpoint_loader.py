"""Weights for evaluation and inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from ..checkpoints import load_ensemble, load_weights
from ..errors import InputError


class BundleCheckpointLoader:
    """Load the weights of exactly this network when an engine starts, or stop with one clear line.

    Federated clients, which bring their own weights, disable it by its name.

    Args:
        network: to fill.
        source: checkpoint file, bundle folder or release zip; of an ensemble one or more.
        ensemble: give the engine an `Ensemble` where several networks are found, instead of refusing them.
        use: what the network is to do, such as `classes`, `spacing` and `unseen`, see `scripts.checkpoints.check_plan`;
            weights for others are refused.
    """

    def __init__(
        self, network: nn.Module, source: str | Path | Sequence[str | Path], ensemble: bool = False, **use: Any
    ) -> None:
        self.network = network
        self.source = source
        self.ensemble = ensemble
        self.use = use

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load."""
        if not self.source:
            raise InputError(f"checkpoint is {self.source!r}: name a checkpoint, bundle folder or bundle zip")
        if self.ensemble:
            engine.network = load_ensemble(self.network, self.source, **self.use)
        elif isinstance(self.source, str | Path):
            load_weights(self.network, self.source, **self.use)
        else:
            raise InputError(f"checkpoint is a list of {len(self.source)}: this task runs one network at a time")
