"""Block-sparse against dense-masked execution of Spark3D: `python -m benchmarks.spark3d --output spark3d.json`.

One process, the same weights and masks, alternating runs; peak memory is measured in a child process per execution.
A GPU: `python -m benchmarks.spark3d --device cuda --size 160 --batch_size 2` (a few minutes).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scripts.files import save_json
from scripts.losses import MaskedMSELoss
from scripts.networks import ResEncUNet, Spark3D
from scripts.networks.block_sparse import Cells, encode_cells
from scripts.networks.sparse import encode_visible
from tools.cli import cli
from tools.facts import machine
from tools.memory import peak_bytes
from tools.render.execution_table import execution_table

from .example import example
from .pairs import against, alternate
from .resenc_unet import library_form

RESENC_L = (32, 64, 128, 256, 320, 320)


def main(
    output: str,
    size: int = 96,
    cell_size: int = 32,
    width: float = 1.0,
    batch_size: int = 1,
    ratios: Sequence[float] = (0.6, 0.75, 0.9),
    repeats: int = 5,
    device: str = "cpu",
    checkpointing: bool = False,
    parts: Sequence[str] = ("encoder", "step", "memory"),
    peers: bool = False,
    processor_time: bool = False,
) -> None:
    """Measure, print a table and write JSON.

    Args:
        output: file to write.
        size: voxels per side of the patch.
        cell_size: voxels per side of the mask's cells.
        width: factor of ResEnc-L's channels.
        batch_size: patches per step.
        ratios: shares of hidden cells.
        repeats: rounds that count.
        device: "cpu" (float32) or "cuda" (bf16 autocast).
        checkpointing: recompute in the backward pass.
        parts: what to measure.
        peers: time a step of the plain dense network and of MONAI's masked ViT as well.
        processor_time: count processor seconds, for a CPU that others use; give it one thread.
    """
    setting = {"size": size, "cell_size": cell_size, "width": width, "batch_size": batch_size, "device": device}
    setting |= {"checkpointing": checkpointing}
    image, masks = example((size,) * 3, (cell_size,) * 3, ratios, batch_size, device)
    net = network(width, cell_size, checkpointing).to(device)
    optimizer = sgd(net)
    report: dict[str, Any] = setting | {
        **machine(device),
        "repeats": repeats,
        "clock": "processor" if processor_time else "wall",
    }
    middle = masks[sorted(masks)[len(masks) // 2]]
    passes: dict[str, Callable[..., None]] = {"encoder": encoder_pass, "step": partial(step, optimizer=optimizer)}
    for part, run in passes.items():
        if part not in parts:
            continue
        # the dense form takes as long whatever is hidden, so each round needs it once
        runs: dict[str, Callable[[], object]] = {"dense": partial(run, net, image, middle, "dense")}
        runs |= {str(ratio): partial(run, net, image, mask, "auto") for ratio, mask in masks.items()}
        if part == "step" and peers:
            networks = {name: peer.to(device) for name, peer in peer_networks(size, width, device).items()}
            runs |= {name: partial(peer_step, peer, image, sgd(peer)) for name, peer in networks.items()}
        seconds = alternate(runs, repeats, device, processor_time)
        dense = seconds.pop("dense")
        report[part] = {name: against(dense, values) for name, values in seconds.items()}
        save_json(report, output)  # a long run that is stopped leaves its first half
    if "memory" in parts:
        report["peak_memory_mib"] = {"dense": peak_memory("dense", ratios[0], **setting)}
        report["peak_memory_mib"] |= {str(r): peak_memory("auto", r, **setting) for r in ratios}
    save_json(report, output)
    print(execution_table(report))


def network(width: float, cell_size: int, checkpointing: bool = False, decoder: str = "full") -> Spark3D:
    """Return a Spark3D around a ResEnc-L of scaled width."""
    torch.manual_seed(0)
    unet = ResEncUNet(1, 1, features=[max(1, round(width * f)) for f in RESENC_L], weight_init="default")
    return Spark3D(unet, cell_size=(cell_size,) * 3, checkpointing=checkpointing, decoder=decoder)


def encoder_pass(net: Spark3D, image: torch.Tensor, mask: torch.Tensor, execution: str) -> None:
    """Run the encoder to dense skips and back."""
    encoder = net.network.encoder
    with autocast(image):
        if execution == "auto":
            where = Cells(mask)
            features = [where.scatter(f) for f in encode_cells(encoder, image, where, len(net.strides))]
        else:
            features = encode_visible(encoder, image, net.visible_voxels(mask, image.shape[2:]))
    torch.autograd.backward(features, [torch.ones_like(f) for f in features])
    net.zero_grad()


def step(
    net: Spark3D, image: torch.Tensor, mask: torch.Tensor, execution: str, optimizer: torch.optim.Optimizer | None
) -> None:
    """Run a training step: forward, loss, backward, optimiser."""
    net.execution = execution
    with autocast(image):
        loss = MaskedMSELoss()(net(image, mask), (image, mask))
    loss.backward()
    if optimizer is not None:
        optimizer.step()
        optimizer.zero_grad()


def peer_networks(size: int, width: float, device: str) -> dict[str, nn.Module]:
    """Return what others would train on the same patch: nnU-Net's U-Net with nothing masked, and MONAI's masked ViT-B.

    The latter is left out on GPUs: in mixed precision it stops with an error (MONAI 1.6.1).
    """
    from monai.networks.nets import MaskedAutoEncoderViT

    unet = ResEncUNet(1, 1, features=[max(1, round(width * f)) for f in RESENC_L], weight_init="default")
    peers: dict[str, nn.Module] = {"plain ResEnc U-Net": library_form(unet)}
    if not device.startswith("cuda"):
        peers["MONAI MaskedAutoEncoderViT"] = MaskedAutoEncoderViT(1, size, 16)
    return peers


def peer_step(net: nn.Module, image: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Run a training step of a peer."""
    with autocast(image):
        out = net(image)
        out = out[0] if isinstance(out, tuple) else out
        loss = out.float().square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def sgd(net: nn.Module) -> torch.optim.Optimizer:
    """Return the paper's optimiser."""
    return torch.optim.SGD(
        (p for p in net.parameters() if p.requires_grad), 1e-3, 0.99, weight_decay=3e-5, nesterov=True
    )


def autocast(image: torch.Tensor) -> torch.autocast:
    """Return bf16 autocast on a GPU, none on a CPU."""
    return torch.autocast(image.device.type, torch.bfloat16, enabled=image.is_cuda)


def peak_memory(execution: str, ratio: float, **setting: Any) -> int:
    """Measure in a fresh process by how many MiB forward and backward exceed the loaded network."""
    command = [sys.executable, "-m", "benchmarks.spark3d", "memory", f"--execution={execution}", f"--ratio={ratio}"]
    command += [f"--{name}={value}" for name, value in setting.items()]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ, cwd=Path(__file__).parents[1]
    )
    return int(done.stdout.split()[-1])


def memory(
    execution: str,
    ratio: float,
    size: int,
    cell_size: int,
    width: float,
    batch_size: int,
    device: str,
    checkpointing: bool,
) -> None:
    """Print the peak of one step without optimiser, gradients included, in MiB above the loaded network."""
    image, masks = example((size,) * 3, (cell_size,) * 3, [ratio], batch_size, device)
    net = network(width, cell_size, checkpointing).to(device)
    start = peak_bytes(device, now=True)
    step(net, image, masks[ratio], execution, None)
    print((peak_bytes(device) - start) // 2**20)


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        cli(memory, sys.argv[2:])
    else:
        cli(main)
