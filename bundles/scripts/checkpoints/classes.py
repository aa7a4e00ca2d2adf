"""Whether two networks tell the same classes apart."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ..errors import InputError

Classes = dict[str, int | list[int]]


def same_classes(one: Classes, other: Classes) -> bool:
    """Tell whether classes are the same ones, names compared without regard to case."""
    return [(name.lower(), values) for name, values in outputs_of(one)] == [
        (name.lower(), values) for name, values in outputs_of(other)
    ]


def check_classes(plan: dict[str, Any], classes: Classes | None, source: str | Path) -> None:
    """Refuse weights of other classes than the config's, where both are known; other names are only warned of.

    Args:
        plan: of the checkpoint, see `TrainingCheckpoint`.
        classes: label values by name, or those of each region.
        source: where the weights come from, for the message.

    Raises:
        InputError: naming the knob that has to be given.
    """
    trained = plan.get("classes")
    if not trained or not classes or same_classes(trained, classes):
        return
    if [values for _, values in outputs_of(trained)] != [values for _, values in outputs_of(classes)]:
        knob = "labels" if trained == plan.get("labels") else "regions"
        raise InputError(
            f'{source} was trained for the {knob} {trained}, here they are {classes}: give --{knob} "{trained}"'
        )
    logging.getLogger(__name__).warning(
        "the weights' classes are called %s, here %s: are they the same?", list(trained), list(classes)
    )


def outputs_of(classes: Classes) -> list[tuple[str, int | list[int]]]:
    """Return classes in the order of the network's outputs: labels by value, with the background; regions as given."""
    if any(isinstance(value, list) for value in classes.values()):
        return list(classes.items())
    return [("background", 0), *sorted((pair for pair in classes.items() if pair[1] != 0), key=lambda pair: pair[1])]
