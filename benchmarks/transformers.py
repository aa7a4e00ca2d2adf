"""What hiding patches saves in a transformer's encoder: `python -m benchmarks.transformers --output costs.json`.

A ViT-B/16 on patches of 96^3 voxels and on X-rays of 224^2 pixels against the same with nothing hidden, and an nnFormer
in its tumour geometry (128^3) in mode "sparse" against "dense"; one process, equal weights, alternating runs. On a GPU:
`--device cuda`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from scripts.files import save_json
from scripts.networks import NNFormer, NNFormerMAE, ViTMAE
from scripts.pretraining.masks import visible_cells
from tools.cli import cli
from tools.facts import gpu_name

from .example import example
from .pairs import against, alternate

Pass = Callable[[], torch.Tensor]


def main(
    output: str,
    ratio: float = 0.75,
    hidden_size: int = 768,
    embed_dim: int = 96,
    batch_size: int = 1,
    repeats: int = 5,
    device: str = "cpu",
) -> None:
    """Measure forward and backward of both encoders, print and write JSON.

    Args:
        output: file to write.
        ratio: share of hidden cells.
        hidden_size: of the ViT.
        embed_dim: of the nnFormer.
        batch_size: patches per step.
        repeats: rounds that count.
        device: "cpu" (float32) or "cuda" (bf16 autocast).
    """
    report: dict[str, Any] = {
        "ratio": ratio,
        "batch_size": batch_size,
        "device": gpu_name(device) or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "repeats": repeats,
    }
    passes = {
        f"ViT of {hidden_size} channels, 96^3": vit_passes((96,) * 3, 1, ratio, hidden_size, batch_size, device),
        f"ViT of {hidden_size} channels, 224^2": vit_passes((224,) * 2, 3, ratio, hidden_size, batch_size, device),
        f"nnFormer of embedding {embed_dim}, 128^3": nnformer_passes(ratio, embed_dim, batch_size, device),
    }
    for name, (masked, reference) in passes.items():
        runs: dict[str, Callable[[], object]] = {
            "reference": partial(backward, reference),
            "masked": partial(backward, masked),
        }
        seconds = alternate(runs, repeats, device)
        kept = saved_bytes(masked) / saved_bytes(reference)
        report[name] = against(seconds["reference"], seconds["masked"]) | {"memory_for_backward": round(kept, 3)}
        print(name, report[name])
    save_json(report, output)


def vit_passes(
    size: tuple[int, ...], channels: int, ratio: float, hidden_size: int, batch_size: int, device: str
) -> tuple[Pass, Pass]:
    """Return the forward pass of a ViT's encoder with a share of the patches hidden, and with none."""
    torch.manual_seed(0)
    net = ViTMAE(channels, size, hidden_size=hidden_size).to(device)
    image, masks = example(size, net.cell_size, [ratio], batch_size, device, channels)
    some, everything = visible_cells(masks[ratio]), visible_cells(torch.zeros_like(masks[ratio]))
    return (
        partial(encoded, lambda: net.encoder(image, some)),
        partial(encoded, lambda: net.encoder(image, everything)),
    )


def nnformer_passes(ratio: float, embed_dim: int, batch_size: int, device: str) -> tuple[Pass, Pass]:
    """Return the forward pass of an nnFormer's encoder on visible units alone, and on everything."""
    torch.manual_seed(0)
    network = NNFormer.tumour(1, 1, embed_dim=embed_dim, drop_path=0.0)
    sparse, dense = (NNFormerMAE(network, mode).to(device) for mode in ("sparse", "dense"))
    image, masks = example((128, 128, 128), sparse.cell_size, [ratio], batch_size, device)
    return (
        partial(encoded, lambda: sparse.encode(image, masks[ratio])),
        partial(encoded, lambda: dense.encode(image, masks[ratio])),
    )


def encoded(run: Callable[[], torch.Tensor | list[torch.Tensor]]) -> torch.Tensor:
    """Run an encoder and reduce what it returns to one number."""
    with torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_available()):
        features = run()
    return torch.stack(
        [f.float().square().mean() for f in (features if isinstance(features, list) else [features])]
    ).sum()


def backward(run: Pass) -> None:
    """Run forward and backward."""
    run().backward()


def saved_bytes(run: Pass) -> int:
    """Return how much a forward pass keeps for its backward pass; what is kept twice counts once.

    Weights do not count, nor their copies in half precision: what two passes keep in the same place is neither's own.
    """
    with torch.autocast("cpu", enabled=False):  # at the end of the outermost context the copies are forgotten
        (_first, before), (_second, kept) = kept_by(run), kept_by(run)
    return sum(size for place, size in kept.items() if place not in before)


def kept_by(run: Pass) -> tuple[torch.Tensor, dict[int, int]]:
    """Return the result of a forward pass, which holds what it keeps, and the bytes of that by place in memory."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        return run(), kept


if __name__ == "__main__":
    cli(main)
