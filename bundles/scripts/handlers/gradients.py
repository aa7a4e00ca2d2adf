"""Bounded gradients."""

from __future__ import annotations

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents


class ClipGradients:
    """Clip the gradients' total norm before every optimiser step (12 in nnU-Net and in the Spark3D recipe).

    Args:
        max_norm: upper bound.
    """

    def __init__(self, max_norm: float) -> None:
        self.max_norm = max_norm

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Clip; under mixed precision the gradients are brought to their true scale first.

        Where a trainer adds the gradients of several steps, only their sum is clipped, before the optimiser takes it.
        """
        step = (engine.state.iteration - 1) % engine.state.epoch_length + 1
        if step % engine.accumulation_steps and step < engine.state.epoch_length:
            return
        if engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        parameters = [p for group in engine.optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, self.max_norm)
