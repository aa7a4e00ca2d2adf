"""What a bundle's training step is given, of random values."""

from __future__ import annotations

from typing import Any

import torch
from monai.bundle import ConfigParser


def random_step(parser: ConfigParser, step: int, device: str) -> tuple[tuple[torch.Tensor, ...], Any]:
    """Return inputs of a step and its target.

    Args:
        parser: a bundle's train config.
        step: number of the step, which decides masks.
        device: where they are; on "meta" only masks have values, since they decide what is computed.

    Returns:
        The network's arguments, and what the loss compares its output with.
    """
    batch_size, patch_size = parser["batch_size"], list(parser["patch_size"])
    shape = (batch_size, len(parser["channels"]), *patch_size)
    if "train::prepare_batch" not in parser:
        labels = torch.randint(len(parser["labels"]), (batch_size, 1, *patch_size), device=device)
        return (torch.randn(shape, device=device),), labels
    draws = {"step": torch.full((batch_size,), step), "position": torch.arange(batch_size)}
    prepare = parser.get_parsed_content("train::prepare_batch")
    if device == "meta":
        image, _, masks, _ = prepare({"image": torch.zeros(()).expand(shape), **draws}, "cpu")
        image = torch.empty(shape, device="meta")
        return (image, *masks), (image, *masks)
    image, target, masks, _ = prepare({"image": torch.randn(shape, device=device), **draws}, device)
    return (image, *masks), target
