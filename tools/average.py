"""Average networks that were trained from one start: `python -m tools.average <output> <checkpoint> ... [--half True]`.

The mean of the weights of trainings that set out from the same weights is often better than each of them, at the cost
of one (Wortsman et al., Model soups, ICML 2022).
"""

from __future__ import annotations

from pathlib import Path

import torch

from scripts.checkpoints import read_checkpoint
from scripts.errors import InputError, check_flags
from scripts.files import check_free, save_tensors

from .cli import cli


def average(output: str, *checkpoints: str, half: bool = False) -> None:
    """Write the mean of the weights of checkpoints of one network, with the plan of the first.

    Args:
        output: file to write, such as `model.pt`.
        checkpoints: one or more, files, bundle folders or bundle zips.
        half: keep floating-point weights in 16 bits; what loads them computes in its own precision.

    Raises:
        InputError: if there is nothing to average, the networks differ or `output` exists.
    """
    check_flags(half=half)
    if not checkpoints:
        raise InputError("nothing to average: give one or more checkpoints after the file to write")
    check_free(output)
    contents = [read_checkpoint(source) for source in checkpoints]
    shapes = [{name: tensor.shape for name, tensor in content["model"].items()} for content in contents]
    for source, found in zip(checkpoints, shapes, strict=True):
        if found != shapes[0]:
            raise InputError(f"{source} is another network than {checkpoints[0]}: average trainings of the same one")
    means: dict[int, torch.Tensor] = {}  # by place in memory: names of one tensor keep sharing it, in the file too
    for name, first in contents[0]["model"].items():
        if first.data_ptr() not in means:
            means[first.data_ptr()] = mean([content["model"][name] for content in contents], half)
    model = {name: means[first.data_ptr()] for name, first in contents[0]["model"].items()}
    plan = contents[0].get("plan", {}) | {"averaged": len(contents)}
    if trained_on := sorted({mark for content in contents for mark in content.get("plan", {}).get("trained_on", ())}):
        plan["trained_on"] = trained_on
    if plan.get("pretrained"):
        plan["pretrained"] = Path(plan["pretrained"]).name  # what is passed on tells no folders of one machine
    save_tensors({"model": model, "plan": plan}, output)
    print(f"{output}: mean of {len(contents)}, {Path(output).stat().st_size / 1e6:.1f} MB")


def mean(tensors: list[torch.Tensor], half: bool) -> torch.Tensor:
    """Return the mean of tensors in their type, or in 16 bits; of whole numbers the first, such as a counter."""
    if not tensors[0].is_floating_point():
        return tensors[0]
    total = torch.stack([tensor.double() for tensor in tensors]).mean(0)
    return total.to(torch.float16 if half else tensors[0].dtype)


if __name__ == "__main__":
    cli(average)
