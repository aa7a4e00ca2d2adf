"""Weights for evaluation and inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from ..checkpoints import load_weights
from ..checkpoints.classes import Classes
from ..errors import InputError
from ..networks import Ensemble


class BundleCheckpointLoader:
    """Load the weights of exactly this network when an engine starts, or stop with one clear line.

    Federated clients, which bring their own weights, disable it by its name.

    Args:
        network: to fill.
        source: checkpoint file, bundle folder or release zip; of an ensemble one for each of its networks.
        classes: those that the network shall tell apart, if any; weights for others are refused.
        unseen: marks of the cases that it must not have been trained on, see `scripts.data.case_marks`.
    """

    def __init__(
        self,
        network: nn.Module,
        source: str | Path | Sequence[str | Path],
        classes: Classes | None = None,
        unseen: Sequence[str] = (),
    ) -> None:
        self.network = network
        self.source = source
        self.classes = classes
        self.unseen = unseen

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load."""
        sources = [self.source] if isinstance(self.source, str | Path) else self.source
        networks = self.network.members if isinstance(self.network, Ensemble) else [self.network]
        if len(sources) != len(networks):
            raise InputError(f"{len(sources)} checkpoints for {len(networks)} network: this task runs one at a time")
        for network, source in zip(networks, sources, strict=True):
            load_weights(network, source, self.classes, self.unseen)
