"""What a pretrained model asks of the bundle that is to start from it; its checkpoint carries all of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.checkpoints import read_checkpoint
from scripts.errors import InputError

from .intensity import component

# the network of a bundle by that in a plan, and which of its settings are arguments of the network
NETWORKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ResEncUNet": ("resenc", ("features", "num_blocks", "strides")),
    "ViTMAE": ("unetr", ("patch_size", "hidden_size", "depth", "num_heads")),
    "UNETR": ("unetr", ("patch_size", "hidden_size", "depth", "num_heads", "feature_size")),
    "NNFormer": (
        "nnformer",
        ("embed_dim", "num_heads", "depths", "stem_strides", "windows", "down_strides", "down_paddings", "quirks"),
    ),
}


@dataclass(frozen=True)
class Pretrained:
    """A pretrained model's plan.

    Attributes:
        network: name of the segmentation network that takes its encoder.
        ids: the network's arguments as overlay.
        spacing: in mm.
        normalization: in words.
        patch_size: in voxels.
        in_channels: of its stem.
    """

    network: str
    ids: dict[str, Any]
    spacing: list[float]
    normalization: str
    patch_size: list[int]
    in_channels: int


def segments(source: str | Path) -> bool:
    """Tell whether a checkpoint's network segments already, so that its decoder is worth keeping."""
    return bool(read_checkpoint(source).get("plan", {}).get("task") == "segmentation")


def read_plan(source: str | Path) -> Pretrained:
    """Read the plan of a checkpoint, a bundle's folder or its zip.

    Raises:
        InputError: if there is no plan, as in weights of other projects, or it is of no known network.
    """
    plan = read_checkpoint(source).get("plan", {})
    missing = [key for key in ("network", "spacing", "normalization", "patch_size") if key not in plan]
    if missing or plan["network"].get("name") not in NETWORKS:
        raise InputError(
            f"{source} carries no plan of a network that is known here ({', '.join(NETWORKS)}): make the bundle "
            "without --pretrained, choose the network's overlay, and give the weights when training"
        )
    if component(plan["normalization"]) is None:
        raise InputError(
            f"{source} was trained on scans normalised by {plan['normalization']!r}, which is not known here: make the "
            "bundle without --pretrained, and give the weights when training"
        )
    settings = plan["network"]
    network, arguments = NETWORKS[settings["name"]]
    ids = {f"network_def#{key}": settings[key] for key in arguments if key in settings}
    return Pretrained(
        network,
        ids,
        [float(mm) for mm in plan["spacing"]],
        plan["normalization"],
        list(plan["patch_size"]),
        int(settings["in_channels"]),
    )
