"""Weights for evaluation and inference."""

from __future__ import annotations

from ignite.engine import Engine, Events
from torch import nn

from ..checkpoints import load_weights


class BundleCheckpointLoader:
    """Load the weights of exactly this network when an engine starts, or stop with one clear line.

    Federated clients, which bring their own weights, disable it by its name.

    Args:
        network: to fill.
        source: checkpoint file, bundle folder or release zip.
    """

    def __init__(self, network: nn.Module, source: str) -> None:
        self.network = network
        self.source = source

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load."""
        load_weights(self.network, self.source)
