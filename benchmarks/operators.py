"""Where the time of a Spark3D step goes: `python -m benchmarks.operators --output operators.json`.

PyTorch's profiler on one pass after a warm-up: the operators that took most, each without those that it calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from scripts.files import save_json
from tools.cli import cli
from tools.facts import machine

from .example import example
from .spark3d import encoder_pass, network, step


def main(
    output: str,
    size: int = 96,
    cell_size: int = 32,
    width: float = 1.0,
    batch_size: int = 1,
    ratio: float = 0.75,
    parts: Sequence[str] = ("encoder", "step"),
    executions: Sequence[str] = ("auto", "dense"),
    device: str = "cpu",
    top: int = 10,
) -> None:
    """Profile forward and backward, print and write JSON.

    Args:
        output: file to write.
        size: voxels per side of the patch.
        cell_size: voxels per side of the mask's cells.
        width: factor of ResEnc-L's channels.
        batch_size: patches per step.
        ratio: share of hidden cells.
        parts: "encoder", "step" (without the optimiser).
        executions: of `Spark3D`.
        device: "cpu" (float32) or "cuda" (bf16 autocast).
        top: operators to name, the rest is one sum.
    """
    image, masks = example((size,) * 3, (cell_size,) * 3, [ratio], batch_size, device)
    net = network(width, cell_size).to(device)
    passes: dict[str, Callable[..., None]] = {"encoder": encoder_pass, "step": partial(step, optimizer=None)}
    report: dict[str, Any] = {
        "size": size,
        "width": width,
        "ratio": ratio,
        "batch_size": batch_size,
        **machine(device),
    }
    for part in parts:
        for execution in executions:
            run = partial(passes[part], net, image, masks[ratio], execution)
            run()
            report[f"{part}, {execution}"] = operators(run, device, top)
            net.zero_grad()
            save_json(report, output)
    print(json.dumps(report, indent=4))


def operators(run: Callable[[], None], device: str, top: int) -> dict[str, Any]:
    """Return the seconds of a pass, how many kernels a GPU ran, and each operator's share of the time."""
    cuda = device.startswith("cuda")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as profiler:
        run()
    events = profiler.key_averages()
    taken = {
        event.key: (event.self_device_time_total if cuda else event.self_cpu_time_total) / 1e6
        for event in events
        if event.device_type == DeviceType.CPU  # kernels stand in a second list, with the same times
    }
    kernels = sum(event.count for event in events if event.device_type == DeviceType.CUDA)
    total = sum(taken.values())
    first = sorted(taken, key=lambda name: -taken[name])[:top]
    shares = {name: round(taken[name] / total, 3) for name in first}
    shares["all others"] = round(1 - sum(taken[name] for name in first) / total, 3)
    return {"seconds": round(total, 3), **({"kernels": kernels} if cuda else {}), "shares": shares}


if __name__ == "__main__":
    cli(main)
