"""Learning rates and frozen parts by phases (Spark3D, Sec. 4 and Tab. 3)."""

from __future__ import annotations

from collections.abc import Sequence

from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from torch.optim import Optimizer

from ..errors import InputError

Phase = tuple[str, str, int | None]

SHAPES = ("ramp", "poly", "constant")


class PhasedSchedule:
    """Train parts of a network in turn, each phase with its own course of the learning rate.

    A phase is `[part, shape, steps]`. `part` is "all" or names of the optimiser's parameter groups joined by "+", such
    as "decoder" or "decoder+stem"; the others are frozen: they get no update and collect no momentum. `shape` is
    "ramp" (linear rise to the maximum), "poly" (polynomial decay to zero) or "constant". `steps` of the last phase is
    null: the rest of the training. The rate follows from the step alone, so a resumed run needs no state.

    The paper's fine-tuning: [["decoder", "ramp", 12500], ["all", "ramp", 12500], ["all", "poly", null]] with max_lr 1e-3.

    Args:
        optimizer: with named parameter groups (see `parameter_groups`).
        phases: in order.
        max_lr: highest learning rate.
        power: exponent of the decay.
    """

    def __init__(
        self, optimizer: Optimizer, phases: Sequence[Phase], max_lr: float, power: float = 0.9
    ) -> None:
        self.optimizer = optimizer
        self.phases = [tuple(phase) for phase in phases]
        self.max_lr = max_lr
        self.power = power
        names = [group["name"] for group in optimizer.param_groups]
        for phase in self.phases:
            if len(phase) != 3 or phase[1] not in SHAPES or not (phase[0] == "all" or set(phase[0].split("+")) <= {*names}):
                raise InputError(
                    f"phase {list(phase)} is not [part, shape, steps] with a part of {['all', *names]} (several joined "
                    f"by '+') and a shape of {list(SHAPES)}"
                )
        if not phases or any(phase[2] is None for phase in self.phases[:-1]) or self.phases[-1][2] is not None:
            raise InputError("phases: give every phase its steps, and the last one null for the rest of the training")

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.STARTED, self.check_length)
        engine.add_event_handler(Events.ITERATION_STARTED, self.set_rates)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self.freeze)

    def check_length(self, engine: Engine) -> None:
        """Refuse a training that ends before its last phase begins."""
        total = engine.state.max_epochs * engine.state.epoch_length
        before = sum(phase[2] for phase in self.phases[:-1])
        if before >= total:
            raise InputError(
                f"the phases before the last take {before} steps, the whole training has {total}: shorten them "
                "(phases) or train longer (max_epochs, steps_per_epoch)"
            )

    def at(self, step: int, total: int) -> tuple[str, float]:
        """Return which part trains at `step` (from 0) of `total`, and its learning rate."""
        first = 0
        for part, shape, steps in self.phases:
            length = total - first if steps is None else steps
            if step < first + length:
                break
            first += length
        done = step - first
        factor = {"ramp": (done + 1) / length, "poly": (1 - done / length) ** self.power, "constant": 1.0}[shape]
        return part, self.max_lr * factor

    def set_rates(self, engine: Engine) -> None:
        """Set every group's rate for the coming step, zero where it is frozen."""
        part, rate = self.at(engine.state.iteration - 1, engine.state.max_epochs * engine.state.epoch_length)
        for group in self.optimizer.param_groups:
            group["lr"] = rate if _trains(group["name"], part) else 0.0

    def freeze(self, engine: Engine) -> None:
        """Drop the gradients of frozen groups, which the optimiser then passes over."""
        part, _ = self.at(engine.state.iteration - 1, engine.state.max_epochs * engine.state.epoch_length)
        for group in self.optimizer.param_groups:
            if not _trains(group["name"], part):
                for parameter in group["params"]:
                    parameter.grad = None


def _trains(name: str, part: str) -> bool:
    return part == "all" or name in part.split("+")
