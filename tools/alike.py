"""Checkpoints of one network trained several times."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from scripts.checkpoints import all_marks, networks_in, read_checkpoint
from scripts.checkpoints.preprocessing import contradiction, meaning_of, preparation
from scripts.checkpoints.settings import OF_THE_WHOLE, SHAPELESS, meaning_of_setting
from scripts.errors import InputError

State = dict[str, torch.Tensor]


def read_alike(checkpoints: Sequence[str]) -> tuple[list[State], dict[str, Any]]:
    """Read all networks of checkpoints, and the plan that they share.

    Args:
        checkpoints: files, bundle folders or bundle zips.

    Returns:
        Their state dicts, and the plan of the first with what only later ones tell, the marks of all cases that any was
        trained or pretrained on, and the axes along which all of them were mirrored in training, where that is known.

    Raises:
        InputError: if there are none, or they differ in names or shapes of tensors, in settings that shapes do not
            betray, or in classes, channels, spacing or intensities.
    """
    if not checkpoints:
        raise InputError("no checkpoints: give one or more after the file to write")
    contents = [read_checkpoint(source) for source in checkpoints]
    if two := contradiction([_kind(content) for content in contents]):
        source, other = (checkpoints[number] for number in two)
        raise InputError(f"{source} is another network than {other}: give trainings of the same one")
    plans = [content.get("plan", {}) for content in contents]
    plan = dict(ChainMap(*plans)) | all_marks(*plans)
    if flipped := [set(each["flip_axes"]) for each in plans if "flip_axes" in each]:
        plan["flip_axes"] = sorted(set.intersection(*flipped))
    if plan.get("pretrained"):
        plan["pretrained"] = Path(plan["pretrained"]).name  # what is passed on tells no folders of one machine
    return [state for content in contents for state in networks_in(content)], plan


def mean_of(states: Sequence[State], half: bool = False) -> State:
    """Return the mean of state dicts, in their precision or in 16 bits; of whole numbers the first, such as a counter.

    Names of one tensor keep sharing it, in a file too.
    """
    means: dict[int, torch.Tensor] = {}  # by place in memory
    for name, first in states[0].items():
        if first.data_ptr() not in means:
            means[first.data_ptr()] = _mean([state[name] for state in states], half)
    return {name: means[first.data_ptr()] for name, first in states[0].items()}


def _mean(tensors: list[torch.Tensor], half: bool) -> torch.Tensor:
    if not tensors[0].is_floating_point():
        return tensors[0]
    total = torch.stack([tensor.double() for tensor in tensors]).mean(0)
    return total.to(torch.float16 if half else tensors[0].dtype)


def _kind(content: dict[str, Any]) -> list[Any]:
    """Return what is alike for trainings of the same network, None where its plan tells nothing."""
    shapes = {name: tensor.shape for name, tensor in content["model"].items()}
    plan = content.get("plan", {})
    settings = plan.get("network") or {}
    told = [*preparation(plan), *(meaning_of(plan.get(key)) for key in ("classes", "spacing"))]
    return [shapes, *told, *(meaning_of_setting(settings.get(key)) for key in (*SHAPELESS, *OF_THE_WHOLE))]
