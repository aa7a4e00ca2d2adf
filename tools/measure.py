"""Cost of a training step of a bundle: `python -m tools.measure spark3d_pretrain --preset compact`.

Measures seconds and peak memory on this machine. With `--flops` it counts the operations of a step instead, which no
machine changes; with `--estimate` what a step must hold, without computing: for sizes that do not fit here.
"""

from __future__ import annotations

import json
import platform
import resource
import statistics
import time
from typing import Any

import fire
import torch
from monai.bundle import ConfigParser
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scripts.errors import plain_errors
from scripts.files import save_json

from .render import ROOT

GIB = 2**30


def main(
    bundle: str,
    preset: str = "",
    device: str = "cpu",
    steps: int = 7,
    estimate: bool = False,
    flops: bool = False,
    output_file: str = "",
    **knobs: Any,
) -> None:
    """Print the cost of a training step as JSON.

    Args:
        bundle: folder of the bundle below `bundles`.
        preset: overlay of its train.json, several joined by "+".
        device: where to compute.
        steps: measured steps, after two that are not counted; the median is reported.
        estimate: count memory on PyTorch's meta device instead; float32, without the framework's own buffers.
        flops: count floating-point operations of matrix products and convolutions instead, forward and backward.
        output_file: also write the JSON there.
        knobs: overrides such as `--batch_size 6`.
    """
    configs = ROOT / "bundles" / bundle / "configs"
    files = [configs / f"{name}.json" for name in ("train", *preset.split("+")) if name]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    parser.update({"bundle_root": str(configs.parent), **knobs})
    report = {"bundle": bundle, "preset": preset or "default", "patch_size": parser["patch_size"]}
    report["batch_size"] = parser["batch_size"]
    if flops:
        report |= counted(parser, device)
    else:
        report |= estimated(parser) if estimate else measured(parser, device, steps)
    if output_file:
        save_json(report, output_file)
    print(json.dumps(report, indent=4))


def measured(parser: ConfigParser, device: str, steps: int) -> dict[str, Any]:
    """Run training steps on random data; see `main`."""
    start = _memory(device)
    network = parser.get_parsed_content("network_def").to(device)
    optimizer = torch.optim.SGD((p for p in network.parameters() if p.requires_grad), lr=1e-3, momentum=0.99)
    seconds = []
    for step in range(steps + 2):
        inputs, target = example(parser, step, device)
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", enabled=device.startswith("cuda")):
            loss = parser.get_parsed_content("loss")(network(*inputs), target)
        loss.backward()
        optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - began)
    return {
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "seconds_per_step": round(statistics.median(seconds[2:]), 3),
        "steps": steps,
        "peak_memory_gib": round((_memory(device) - start) / GIB, 2),
    }


def counted(parser: ConfigParser, device: str) -> dict[str, Any]:
    """Count the operations of one training step on random data; see `main`."""
    network = parser.get_parsed_content("network_def").to(device)
    inputs, target = example(parser, 0, device)
    with FlopCounterMode(display=False) as counter:
        parser.get_parsed_content("loss")(network(*inputs), target).backward()
    return {"flops_per_step": counter.get_total_flops()}


def estimated(parser: ConfigParser) -> dict[str, Any]:
    """Count bytes of weights, gradients, momentum and of what backward needs, without computing; see `main`."""
    parameters, activations = held(parser)
    return {
        "parameters": parameters,
        "weights_gradients_momentum_gib": round(3 * 4 * parameters / GIB, 2),
        "activations_gib": round(activations / GIB, 2),
    }


def held(parser: ConfigParser) -> tuple[int, int]:
    """Return the number of parameters, and the bytes of activations (float32) that a step holds for backward."""
    with torch.device("meta"):
        network: nn.Module = parser.get_parsed_content("network_def")
    inputs, target = example(parser, 0, "meta")
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        parser.get_parsed_content("loss")(network(*inputs), target)
    own = {p.untyped_storage()._cdata for p in network.parameters()}
    activations = sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in own)
    return sum(p.numel() for p in network.parameters()), activations


def example(parser: ConfigParser, step: int, device: str) -> tuple[tuple[torch.Tensor, ...], Any]:
    """Return random inputs of a step and its target."""
    batch_size, patch_size = parser["batch_size"], list(parser["patch_size"])
    image = torch.randn(batch_size, len(parser["channels"]), *patch_size, device=device)
    if "train::prepare_batch" not in parser:
        return (image,), torch.randint(len(parser["labels"]), (batch_size, 1, *patch_size), device=device)
    draws = {"image": image, "step": torch.full((batch_size,), step), "position": torch.arange(batch_size)}
    image, target, arguments, _ = parser.get_parsed_content("train::prepare_batch")(draws, device)
    return (image, *arguments), target


def _memory(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    plain_errors()
    fire.Fire(main)
