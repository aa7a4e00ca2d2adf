"""Learning rates and frozen parts by phases (Spark3D, Sec. 4 and Tab. 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from torch.optim import Optimizer

from ..errors import InputError

Phase = tuple[str, str, int | None]

SHAPES = ("ramp", "poly", "cosine", "constant")


class PhasedSchedule:
    """Train parts of a network in turn, each phase with its own course of the learning rate.

    A phase is `[part, shape, steps]`. `part` is "all" or names of the optimiser's parameter groups joined by "+", such
    as "decoder" or "decoder+stem"; the others are frozen: they get no update and collect no momentum. `shape` is
    "ramp" (linear rise to the maximum), "poly" (polynomial decay to zero), "cosine" (half a cosine down to zero, per
    step) or "constant". `steps` of the last phase is null: the rest of the training. The rate follows from the step
    alone, so a resumed run needs no state. A group's `lr_scale` multiplies its rate.

    The paper's fine-tuning: [["decoder", "ramp", 12500], ["all", "ramp", 12500], ["all", "poly", null]], max_lr 1e-3.

    Args:
        optimizer: with named parameter groups (see `parameter_groups`).
        phases: in order.
        max_lr: highest learning rate.
        total_steps: of the whole training; a federated client, whose trainer knows of one round, has those of all.
        power: exponent of the decay.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        phases: Sequence[Sequence[Any]],
        max_lr: float,
        total_steps: int,
        power: float = 0.9,
    ) -> None:
        self.optimizer = optimizer
        self.max_lr = max_lr
        self.total_steps = total_steps
        self.power = power
        if not isinstance(phases, (list, tuple)):
            raise InputError(
                f"phases is {phases!r}: give a list such as [['decoder', 'ramp', 100], ['all', 'poly', None]]"
            )
        self.phases = [_phase(phase, [group["name"] for group in optimizer.param_groups]) for phase in phases]
        if [steps is None for _, _, steps in self.phases] != [False] * (len(phases) - 1) + [True]:
            raise InputError("phases: give every phase its steps, and the last one null for the rest of the training")
        before = sum(steps for _, _, steps in self.phases if steps is not None)
        if before >= total_steps:
            raise InputError(
                f"the phases before the last take {before} steps, the whole training has {total_steps}: shorten them "
                "(phases) or train longer (max_epochs, steps_per_epoch, in a federation rounds)"
            )

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.STARTED, self.check_length)
        engine.add_event_handler(Events.ITERATION_STARTED, self.set_rates)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self.freeze)

    def check_length(self, engine: Engine) -> None:
        """Refuse to train on after the schedule's end."""
        wanted = engine.state.max_epochs * engine.state.epoch_length
        if wanted > self.total_steps:
            raise InputError(
                f"the schedule has {self.total_steps} steps, the training wants {wanted}: give rounds, the number of "
                "all rounds of the federation"
            )

    def at(self, step: int) -> tuple[str, float]:
        """Return which part trains at `step` (from 0), and its learning rate."""
        done = step
        for part, shape, steps in self.phases:  # noqa: B007, the one that the loop stops at is wanted
            length = self.total_steps - (step - done) if steps is None else steps
            if done < length:
                break
            done -= length
        factors = {
            "ramp": (done + 1) / length,
            "poly": (1 - done / length) ** self.power,
            "cosine": (1 + math.cos(math.pi * done / length)) / 2,
            "constant": 1.0,
        }
        return part, self.max_lr * factors[shape]

    def set_rates(self, engine: Engine) -> None:
        """Set every group's rate for the coming step, zero where it is frozen."""
        part, rate = self.at(engine.state.iteration - 1)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0) if _trains(group["name"], part) else 0.0

    def freeze(self, engine: Engine) -> None:
        """Drop the gradients of frozen groups, which the optimiser then passes over."""
        part, _ = self.at(engine.state.iteration - 1)
        for group in self.optimizer.param_groups:
            if not _trains(group["name"], part):
                for parameter in group["params"]:
                    parameter.grad = None


def _phase(value: Any, names: list[str]) -> Phase:
    """Return a phase as the user wrote it, once it is known to be one."""
    match value:
        case [str(part), str(shape), None | int() as steps] if shape in SHAPES and (steps is None or steps > 0):
            if part == "all" or set(part.split("+")) <= set(names):
                return part, shape, steps
    raise InputError(
        f"phase {value} is not [part, shape, steps] with a part of {['all', *names]} (several joined by '+'), "
        f"a shape of {list(SHAPES)} and a number of steps"
    )


def _trains(name: str, part: str) -> bool:
    return part == "all" or name in part.split("+")
