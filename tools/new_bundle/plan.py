"""Everything that a bundle's configs have to be told about its data, chosen."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import prod
from typing import Any

from monai.bundle import ConfigParser

from scripts.errors import InputError
from scripts.networks.nnformer.geometry import Geometry

from ..memory import GIB, Cost
from ..project import ROOT
from ..render.overlays import overlaid, with_copies
from . import intensity
from .fingerprint import Fingerprint
from .geometry import median_shape, shrinking, shrinking_by, start_patch, target_spacing, unit_of
from .pretrained import Pretrained

TEMPLATE = ROOT / "tools" / "templates" / "segmentation"
LARGE = {"features": [32, 64, 128, 256, 320, 320], "num_blocks": [1, 3, 4, 6, 6, 6]}  # ResEnc-L
COMPACT = {"features": [16, 32, 64, 128], "num_blocks": [1, 2, 2, 2]}
COMPACT_TRAINING: dict[str, Any] = {  # as in hippocampus_segmentation, where it learns in minutes on a CPU
    "max_lr": 0.001,
    "optimizer": {
        "_target_": "torch.optim.AdamW",
        "params": {"_target_": "scripts.networks.parameter_groups", "network": "@initial_network"},
        "lr": "@max_lr",
        "weight_decay": 0.05,
    },
    "pretrained_phases": [["decoder", "ramp", 500], ["all", "ramp", 500], ["all", "poly", None]],
}
COMPACT_LENGTH = {"max_epochs": 100, "steps_per_epoch": 100, "val_interval": 5}
ENOUGH = 64**3  # a patch of fewer voxels shows too little: a smaller network with a larger patch is better
MIN_BATCH = 2
RIGHT = {"l": "r", "lt": "rt"}  # sides in short
SHARE = 0.05  # of the dataset's voxels in a step, at most: nnU-Net's bound
Ids = dict[str, Any]
Candidate = tuple[Ids, list[int]]  # the network's arguments and a patch
Stage = tuple[str, Ids, list[Candidate]]  # name, overlay of train, and candidates from the largest patch down


@dataclass(frozen=True)
class Plan:
    """What was chosen.

    Attributes:
        network: its name among the template's networks.
        size: "large" or "compact", or "pretrained" where a checkpoint decides.
        ids: overlay of train and inference: the network's arguments.
        training: overlay of train: optimiser, schedule, length.
        spacing: in mm.
        shape: of the median image at that spacing, in voxels.
        patch_size: in voxels.
        batch_size: patches.
        normalization: in words.
        flip_axes: mirrored in training.
        peak_gib: estimated peak of a training step in float32.
    """

    network: str
    size: str
    ids: Ids
    training: Ids
    spacing: list[float]
    shape: list[int]
    patch_size: list[int]
    batch_size: int
    normalization: str
    flip_axes: list[int]
    peak_gib: float


def make_plan(
    data: Fingerprint,
    channels: list[str],
    labels: dict[str, int],
    outputs: int,
    memory: float,
    start: Pretrained | None = None,
) -> Plan:
    """Choose; the more memory, the larger the network, then the patch, then the batch.

    Args:
        data: the dataset.
        channels: names of the input channels.
        labels: values by name.
        outputs: channels of the prediction.
        memory: bytes that a training step may take.
        start: the model to start from, which decides network, spacing and normalisation.

    Returns:
        The plan.

    Raises:
        InputError: if nothing fits into the memory, or the model has another number of channels.
    """
    if start and start.in_channels not in (1, len(channels)):
        raise InputError(
            f"the pretrained model takes {start.in_channels} channels, the data have {len(channels)}: give one "
            "pretrained on one channel, which is repeated, or on as many"
        )
    spacing = start.spacing if start else target_spacing(data.spacings, data.shapes)
    shape = median_shape(data.spacings, data.shapes, spacing)
    network = start.network if start else "resenc"
    shapes: Ids = {"channels": channels, "labels": labels}
    shapes |= {"network_def#in_channels": len(channels), "network_def#out_channels": outputs}
    train = overlaid(_train(network), [shapes], "the plan")
    stages = _pretrained_stages(start, shape) if start else _stages(spacing, shape)
    cap = max(MIN_BATCH, int(SHARE * len(data.shapes) * prod(shape)))
    name, ids, training, patch, batch, peak = _first_fitting(stages, train, memory, cap)
    return Plan(
        network,
        name,
        ids,
        training,
        spacing,
        shape,
        patch,
        batch,
        start.normalization if start else intensity.chosen(channels, data),
        [1, 2] if has_sides(labels) else [0, 1, 2],
        round(peak / GIB, 2),
    )


def _stages(spacing: list[float], shape: list[int]) -> list[Stage]:
    """Return the sizes of the ResEnc U-Net, the better first, each with its patches."""
    start = start_patch(spacing, shape)
    stages = []
    for name, size, training in (("large", LARGE, {}), ("compact", COMPACT, COMPACT_TRAINING | COMPACT_LENGTH)):
        candidates: list[Candidate] = []
        for patch, strides in shrinking(start, shape, spacing, len(size["features"])):
            if name == "large" and candidates and prod(patch) < ENOUGH:
                break
            ids = {f"network_def#{key}": values[: len(strides)] for key, values in size.items()}
            candidates.append((ids | {"network_def#strides": strides}, patch))
        stages.append((name, training, candidates))
    return stages


def _pretrained_stages(start: Pretrained, shape: list[int]) -> list[Stage]:
    """Return the pretrained network with its own patch and smaller ones, none larger than the data need."""
    training: Ids = {}
    if start.network == "nnformer":  # its windows are made for one patch
        patches: Iterable[list[int]] = [start.patch_size]
    else:
        arguments = {key.split("#")[1]: value for key, value in start.ids.items()}
        if start.network == "resenc":
            unit = unit_of(arguments["strides"])
            if arguments["features"][-1] < LARGE["features"][-1]:
                training = COMPACT_TRAINING | COMPACT_LENGTH
        else:
            unit = list(arguments["patch_size"])
        covering = [-(-n // u) * u for n, u in zip(shape, unit, strict=True)]
        patches = shrinking_by(unit, [min(pair) for pair in zip(start.patch_size, covering, strict=True)])
    return [("pretrained", training, [(start.ids, patch) for patch in patches])]


def _first_fitting(
    stages: Sequence[Stage], train: dict[str, Any], memory: float, cap: int
) -> tuple[str, Ids, Ids, list[int], int, float]:
    """Return the best candidate of which a batch fits, with its largest batch and the peak in bytes."""
    costs = {name: _costs(train, candidates, training) for name, training, candidates in stages}
    for smallest_batch in (MIN_BATCH, 1):
        for name, training, candidates in stages:
            cost = costs[name]
            first = bisect_left(range(len(candidates)), True, key=partial(_fits, cost, smallest_batch, memory))
            if first < len(candidates):
                ids, patch = candidates[first]
                batch = min(cost(first).largest_batch(memory), max(MIN_BATCH, cap // prod(patch)))
                return name, ids, training, patch, batch, cost(first).peak(batch)
    name, _, candidates = stages[-1]
    needed = costs[name](len(candidates) - 1).peak(1)
    raise InputError(
        f"memory is {memory / 1e9:.3g} GB, but the smallest step takes {needed / 1e9:.3g} GB: give more --memory"
        + (", or a smaller pretrained model" if name == "pretrained" else "")
    )


def _costs(train: dict[str, Any], candidates: list[Candidate], training: Ids) -> Callable[[int], Cost]:
    """Return a function that tells the cost of a candidate, each computed once."""
    optimizer = {key: training[key] for key in ("optimizer",) if key in training}

    def cost(number: int) -> Cost:
        ids, patch = candidates[number]
        return Cost(ConfigParser(overlaid(train, [{"patch_size": patch, **ids, **optimizer}], "the plan")))

    return cache(cost)


def _fits(cost: Callable[[int], Cost], batch_size: int, memory: float, number: int) -> bool:
    return cost(number).peak(batch_size) <= memory


def _train(network: str) -> dict[str, Any]:
    """Return what a step consists of, by the template's train.json with a network in it."""
    base = with_copies(ConfigParser.load_config_files([TEMPLATE / "train.json"]), TEMPLATE)
    own = json.loads((TEMPLATE / "networks" / f"{network}.json").read_text())
    needed = ["network_def", "loss", "optimizer", "patch_size", "batch_size", "channels", "labels", "deep_supervision"]
    needed += ["imports", "bundle_root", "own_scripts"]
    return {key: value for key, value in overlaid(base, [own], f"network {network}").items() if key in needed}


def has_sides(labels: dict[str, int]) -> bool:
    """Tell whether left and right are different labels, which mirroring would swap.

    A letter is a side where the other one has a label too, as `Parotid_L` and `Parotid_R`.
    """
    names = [re.split(r"[^a-z]+", name.lower()) for name in labels]
    mirrored = [[RIGHT.get(word, word) for word in words] for words in names]
    is_pair = any(words != other and other in names for words, other in zip(names, mirrored, strict=True))
    return is_pair or any({"left", "right"} & set(words) for words in names)


def covering_patch(network: str, patch: list[int]) -> list[int]:
    """Return a patch that a network of the template takes with its own default arguments, about as large as `patch`.

    It is the smallest that holds `patch`, of nnFormer the nearest. A U-Net's bottleneck has two voxels at least, since
    of one alone nothing can be normalised.
    """
    arguments = json.loads((TEMPLATE / "networks" / f"{network}.json").read_text())["network_def"]
    if network == "nnformer":
        keys = ("stem_strides", "windows", "down_strides", "down_paddings")
        return Geometry.of(*(arguments[key] for key in keys)).nearest(patch)
    unit = arguments["patch_size"] if network == "unetr" else unit_of(arguments["strides"])
    covering = [-(-n // u) * u for n, u in zip(patch, unit, strict=True)]
    if network == "resenc" and covering == list(unit):
        covering[covering.index(max(covering))] *= 2
    return covering
