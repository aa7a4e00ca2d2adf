"""Cost of fine-tuning and inference with the U-Net: `python -m benchmarks.resenc_unet --output out.json`.

Paired against the network of dynamic-network-architectures that it equals, with the same weights, in float32 and in
mixed precision as the bundles have it (bfloat16 on a CPU, float16 on a GPU); what the first call took stands apart.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from monai.losses import DiceCELoss
from torch import nn

from scripts.files import save_json, to_json
from scripts.networks import ResEncUNet
from scripts.networks.average_pool import AveragePool
from scripts.networks.bfloat16 import Bfloat16OnCPU
from scripts.networks.instance_norm import InstanceNorm
from tools.cli import cli
from tools.facts import machine

from .pairs import against, alternate, wait

NETWORKS: dict[str, dict[str, Any]] = {
    "compact": {"features": (16, 32, 64, 128), "num_blocks": (1, 2, 2, 2), "strides": (1, 2, 2, 2)},
    "ResEnc-L": {},
}


def main(
    output: str,
    networks: Sequence[str] = ("compact", "ResEnc-L"),
    size: Sequence[int] = (64, 64, 64),
    batch_size: int = 2,
    classes: int = 3,
    repeats: int = 5,
    device: str = "cpu",
    compiled: bool = False,
) -> None:
    """Time forward and backward with a loss, and forward alone; print and write JSON.

    Args:
        output: file to write.
        networks: of `NETWORKS`.
        size: voxels of the patch.
        batch_size: patches per step, and windows at once.
        classes: of the network, background included.
        repeats: rounds that count.
        device: "cpu" or "cuda".
        compiled: time it under `torch.compile`, against itself without.
    """
    image = torch.randn(batch_size, 1, *size, generator=torch.Generator().manual_seed(0)).to(device)
    labels = torch.randint(classes, image.shape, generator=torch.Generator().manual_seed(0)).to(device)
    report: dict[str, Any] = {
        "size": list(size),
        "batch_size": batch_size,
        **machine(device),
        "repeats": repeats,
    }
    for name in networks:
        ours = ResEncUNet(1, classes, **NETWORKS[name]).to(device)
        reference, network = (ours, torch.compile(copy.deepcopy(ours))) if compiled else (library_form(ours), ours)
        for amp in (False, True):
            parts: dict[str, Callable[..., None]] = {"step": partial(step, labels=labels), "inference": infer}
            for part, run in parts.items():
                began = time.perf_counter()
                run(network, image, amp)
                wait(device)
                first = time.perf_counter() - began
                forms = {"reference": reference, "network": network}
                seconds = alternate({form: partial(run, forms[form], image, amp) for form in forms}, repeats, device)
                found = against(seconds["reference"], seconds["network"]) | {"first_seconds": round(first, 1)}
                report[f"{name}, {part}, {'mixed precision' if amp else 'float32'}"] = found
                save_json(report, output)
    print(to_json(report))


def library_form(network: ResEncUNet) -> nn.Module:
    """Return a copy with PyTorch's instance normalisation and pooling, in channels-first order."""
    found: nn.Module = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    for module in found.modules():
        if isinstance(module, InstanceNorm):
            module.__class__ = nn.InstanceNorm3d  # type: ignore[assignment]
        if isinstance(module, AveragePool):
            module.__class__ = nn.AvgPool3d  # type: ignore[assignment]
    return found


def step(network: nn.Module, image: torch.Tensor, amp: bool, labels: torch.Tensor) -> None:
    """Run forward and backward."""
    with mixed(image, amp):
        logits = network(image)
    loss: torch.Tensor = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True)(logits.float(), labels)
    loss.backward()
    network.zero_grad()


@torch.no_grad()
def infer(network: nn.Module, image: torch.Tensor, amp: bool) -> None:
    """Run forward."""
    with mixed(image, amp):
        network(image)


@contextmanager
def mixed(image: torch.Tensor, amp: bool) -> Iterator[None]:
    """Enter the mixed precision of the bundles on the image's device."""
    mode = Bfloat16OnCPU() if amp and not image.is_cuda else nullcontext()
    with torch.autocast(image.device.type, torch.float16 if image.is_cuda else torch.bfloat16, enabled=amp), mode:
        yield


if __name__ == "__main__":
    cli(main)
