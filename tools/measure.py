"""Cost of a training step of a bundle: `python -m tools.measure spark3d_pretrain --preset compact`.

Measures seconds and peak memory on this machine. With `--flops` it counts the operations of a step instead, which no
machine changes; with `--estimate` what a step must hold, without computing: for sizes that do not fit here.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scripts.errors import InputError
from scripts.files import save_json

from .cli import cli
from .facts import gpu_name
from .memory import GIB, Cost, bytes_of, peak_bytes
from .overrides import effective_config
from .project import ROOT
from .random_step import random_step


def main(
    bundle: str,
    preset: str = "",
    device: str = "cpu",
    steps: int = 7,
    estimate: bool = False,
    flops: bool = False,
    memory: str = "",
    output_file: str = "",
    **knobs: Any,
) -> None:
    """Print the cost of a training step as JSON.

    Args:
        bundle: folder of the bundle below `bundles`.
        preset: overlay of its train.json, several joined by "+".
        device: where to compute.
        steps: measured steps, after two that are not counted; the median is reported.
        estimate: count memory on PyTorch's meta device instead, in float32; mixed precision takes less.
        memory: what there is, such as 8GB; with `--estimate`, the largest batch that it suffices for is told.
        flops: count floating-point operations of matrix products and convolutions instead, forward and backward; on
            the CPU, since a GPU computes some parts in another way where that is faster.
        output_file: also write the JSON there.
        knobs: overrides such as `--batch_size 6` or `--amp True`.

    Raises:
        InputError: there is no such bundle, preset or knob, or memory or device is given to nothing that looks at it.
    """
    if flops and device != "cpu":
        raise InputError(f"--flops counts on the CPU, the same on every machine: leave --device {device} out")
    if memory and not estimate:
        raise InputError(f"--memory {memory} is for an estimate: add --estimate, or leave it out")
    parser = ConfigParser(effective_config(bundle, [name for name in preset.split("+") if name], knobs))
    parser.update({"bundle_root": str(ROOT / "bundles" / bundle)})
    report = {"bundle": bundle, "preset": preset or "default", "patch_size": parser["patch_size"]}
    report["batch_size"] = parser["batch_size"]
    if flops:
        report |= counted(parser)
    else:
        report |= estimated(parser, memory) if estimate else measured(parser, device, steps)
    if output_file:
        save_json(report, output_file)
    print(json.dumps(report, indent=4))


def measured(parser: ConfigParser, device: str, steps: int) -> dict[str, Any]:
    """Run training steps, by the optimiser of the training, on random data; see `main`."""
    start = peak_bytes(device)
    parser.update({"device": device})
    amp = parser.get_parsed_content("amp")
    network, optimizer = (parser.get_parsed_content(part) for part in ("initial_network", "optimizer"))
    seconds = []
    for step in range(steps + 2):
        inputs, target = random_step(parser, step, device)
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", enabled=amp and device.startswith("cuda")):
            loss = parser.get_parsed_content("loss")(network(*inputs), target)
        loss.backward()
        optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - began)
    return {
        "device": gpu_name(device) or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "seconds_per_step": round(statistics.median(seconds[2:]), 3),
        "steps": steps,
        "peak_memory_gib": round((peak_bytes(device) - start) / GIB, 2),
    }


def counted(parser: ConfigParser) -> dict[str, Any]:
    """Count the operations of a training step on random data; see `main`.

    They grow in proportion with the visible cells, so of a range of mask ratios the middle gives the mean over steps.
    Attention is computed as plain matrix products: of its fused kernels some count and others do not.
    """
    if isinstance(parser.get("mask_ratio"), list):
        parser.update({"mask_ratio": statistics.mean(parser["mask_ratio"])})
    network = parser.get_parsed_content("network_def")
    inputs, target = random_step(parser, 0, "cpu")
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        parser.get_parsed_content("loss")(network(*inputs), target).backward()
    return {"flops_per_step": counter.get_total_flops()}


def estimated(parser: ConfigParser, memory: str) -> dict[str, Any]:
    """Estimate the memory of a step, without computing; see `main`."""
    batch_size, cost = parser["batch_size"], Cost(parser)
    report = {
        "parameters": cost.parameters,
        "weights_gradients_moments_gib": round(cost.copies * 4 * cost.parameters / GIB, 2),
        "activations_gib": round(batch_size * cost.activations / GIB, 2),
        "peak_memory_gib": round(cost.peak(batch_size) / GIB, 2),
    }
    return report | ({"largest_batch": cost.largest_batch(bytes_of(memory))} if memory else {})


if __name__ == "__main__":
    cli(main)
