"""Weights for evaluation and inference."""

from __future__ import annotations

from ignite.engine import Engine, Events
from torch import nn

from ..checkpoints import load_weights
from ..checkpoints.classes import Classes


class BundleCheckpointLoader:
    """Load the weights of exactly this network when an engine starts, or stop with one clear line.

    Federated clients, which bring their own weights, disable it by its name.

    Args:
        network: to fill.
        source: checkpoint file, bundle folder or release zip.
        classes: those that the network shall tell apart, if any; weights for others are refused.
    """

    def __init__(self, network: nn.Module, source: str, classes: Classes | None = None) -> None:
        self.network = network
        self.source = source
        self.classes = classes

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load."""
        load_weights(self.network, self.source, self.classes)
