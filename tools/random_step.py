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
    shape = (batch_size, len(parser.get("used_channels") or parser["channels"]), *patch_size)
    if "train::prepare_batch" not in parser:
        return (torch.randn(shape, device=device),), random_labels(parser, device)
    draws = {"step": torch.full((batch_size,), step), "position": torch.arange(batch_size)}
    prepare = parser.get_parsed_content("train::prepare_batch")
    if device == "meta":
        image, _, masks, _ = prepare({"image": torch.zeros(()).expand(shape), **draws}, "cpu")
        image = torch.empty(shape, device="meta")
        return (image, *masks), (image, *masks)
    image, target, masks, _ = prepare({"image": torch.randn(shape, device=device), **draws}, device)
    return (image, *masks), target


def random_labels(parser: ConfigParser, device: str) -> torch.Tensor:
    """Return labels as a bundle's loss takes them: a value per voxel, or which regions or findings are there.

    Args:
        parser: a bundle's train config.
        device: where they are.
    """
    batch_size, patch_size = parser["batch_size"], list(parser["patch_size"])
    if "regions" in parser:
        return torch.randint(2, (batch_size, len(parser["regions"]), *patch_size), device=device).float()
    if len(patch_size) == 2:
        return torch.randint(2, (batch_size, len(parser["labels"])), device=device).float()
    return torch.randint(len(parser["labels"]), (batch_size, 1, *patch_size), device=device)
