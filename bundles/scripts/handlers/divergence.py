"""A training that no longer learns ends, instead of writing weights that are no numbers."""

from __future__ import annotations

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events

from ..errors import InputError
from ..processes import rank_and_size


class StopOnDivergence:
    """Refuse to train on after a loss that is NaN or infinite in any process, or to keep such weights.

    A gradient scaler passes over such a step and halves its scale. So single ones may be, and with a scaler the
    training ends where they are so many that the scale falls below 1.
    """

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Check the step; the key metric waits for its loss as well, so a GPU is not kept waiting.

        Raises:
            InputError: before an epoch is validated and any file of it written.
        """
        scaler, step = engine.scaler, engine.state.iteration
        passes_over = scaler is not None and scaler.is_enabled()
        loss = engine.state.output["loss"].detach()
        failed = loss.new_tensor(scaler.get_scale() < 1) if passes_over else (~loss.isfinite()).float()
        if rank_and_size()[1] > 1:
            dist.all_reduce(failed)
        if failed.item():
            found = "loss or gradients have been" if passes_over else "the loss is"
        elif step % engine.state.epoch_length == 0 and not _all_finite(engine):
            found = "a weight is"
        else:
            return
        precision = ", or go on with --amp False --resume True" if passes_over else ""
        raise InputError(
            f"after step {step} (epoch {engine.state.epoch}) {found} NaN or infinite: the training diverged, or an "
            f"image is corrupt; train with a lower max_lr{precision}. The checkpoints of earlier epochs stay"
        )


def _all_finite(engine: Engine) -> bool:
    # one answer from the device for all weights
    return bool(torch.stack([weight.isfinite().all() for weight in engine.network.parameters()]).all())
