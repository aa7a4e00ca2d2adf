"""Spark3D's steps one after another, as a training takes them: `python -m benchmarks.training --output training.json`.

Unlike `benchmarks.spark3d` masks are drawn anew for each step, as the paper has it, so that the number of visible cells
changes; the precision is the bundles' own (float16 with a scaled loss on a GPU); and each step's loss is read. A GPU:
`--device cuda --size 160 --batch_size 2 --steps 20`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count, islice
from typing import Any

import torch

from scripts.files import save_json, to_json
from scripts.losses import MaskedMSELoss
from scripts.networks import Spark3D
from scripts.pretraining import DrawMasks
from tools.cli import cli
from tools.facts import machine

from .example import example
from .pairs import against, alternate
from .spark3d import network, sgd


def main(
    output: str,
    size: int = 96,
    cell_size: int = 32,
    width: float = 1.0,
    batch_size: int = 1,
    ratios: Sequence[float] = (0.6, 0.9),
    steps: int = 4,
    repeats: int = 5,
    device: str = "cpu",
) -> None:
    """Time rounds of steps in block-sparse and in dense form, print and write JSON; seconds are of a round.

    Args:
        output: file to write.
        size: voxels per side of the patch.
        cell_size: voxels per side of the mask's cells.
        width: factor of ResEnc-L's channels.
        batch_size: patches per step.
        ratios: range of the share of hidden cells.
        steps: of a round.
        repeats: rounds that count, after one that does not.
        device: "cpu" (float32) or "cuda" (float16 autocast, scaled loss).
    """
    net = network(width, cell_size).to(device)
    optimizer, scaler = sgd(net), torch.amp.GradScaler(device, enabled=device.startswith("cuda"))
    image, _ = example((size,) * 3, (cell_size,) * 3, (), batch_size, device)
    draw, numbers = DrawMasks((cell_size,) * 3, ratios), count()
    runs: dict[str, Callable[[], object]] = {
        execution: partial(train, net, image, draw, numbers, optimizer, scaler, execution, steps)
        for execution in ("dense", "auto")
    }
    seconds = alternate(runs, repeats, device)
    setting = {"size": size, "cell_size": cell_size, "width": width, "batch_size": batch_size, "ratios": list(ratios)}
    report: dict[str, Any] = setting | {"steps": steps, "repeats": repeats, **machine(device)}
    report |= against(seconds["dense"], seconds["auto"])
    save_json(report, output)
    print(to_json(report))


def train(
    net: Spark3D,
    image: torch.Tensor,
    draw: DrawMasks,
    numbers: Iterator[int],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    execution: str,
    steps: int,
) -> None:
    """Run steps, each with masks of its own."""
    net.execution = execution
    for number in islice(numbers, steps):
        places = {"step": torch.full((len(image),), number), "position": torch.arange(len(image))}
        inputs, target, masks, _ = draw({"image": image, **places}, image.device)
        with torch.autocast(image.device.type, torch.float16, enabled=scaler.is_enabled()):
            loss = MaskedMSELoss()(net(inputs, *masks), target)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 12)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        loss.item()  # as the log does


if __name__ == "__main__":
    cli(main)
