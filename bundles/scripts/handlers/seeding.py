"""Randomness inside the network that a resumed run repeats."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events


class SeedSteps:
    """Seed torch before every step by seed, step and process, so that dropout too follows from the step alone.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed the coming step."""
        torch.manual_seed(hash((self.seed, engine.state.iteration, engine.state.rank)) % 2**63)
