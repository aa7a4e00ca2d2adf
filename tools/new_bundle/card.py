"""The card of a new bundle: everything that was found and chosen, in the form that `tools.render` reads."""

from __future__ import annotations

from typing import Any

from .fingerprint import Fingerprint
from .folders import Source
from .geometry import unit_of
from .intensity import WINDOW, component
from .plan import Plan, covering_patch

SPARK3D = "T. Wald et al., Revisiting MAE pre-training for 3D medical image segmentation, CVPR 2025, arXiv:2410.23132"
NNUNET = "F. Isensee et al., nnU-Net, Nature Methods 18, 203 (2021)"
NETWORKS = {"resenc": "residual-encoder U-Net", "unetr": "UNETR", "nnformer": "nnFormer"}


def make_card(
    name: str, source: Source, data: Fingerprint, plan: Plan, channels: list[str], labels: dict[str, int]
) -> dict[str, Any]:
    """Write a card.

    Args:
        name: of the bundle's folder.
        source: the dataset.
        data: its numbers.
        plan: what was chosen.
        channels: names in order.
        labels: values by name.

    Returns:
        The content of card.json.
    """
    title = name.replace("_", " ").capitalize()
    window = WINDOW.fullmatch(plan.normalization)
    train: dict[str, Any] = {"flip_axes": plan.flip_axes, "batch_size": plan.batch_size, **plan.training}
    if window:
        train["train#random_transforms#transforms#1#std"] = 0.03  # noise, for a range of 1
    if source.patient_pattern:
        train["patient_pattern"] = source.patient_pattern
    return {
        "template": "segmentation",
        "name": name,
        "title": title,
        "dataset": _dataset(title, source, data, channels, labels),
        "network": plan.network,
        "networks": {
            network: plan.ids if network == plan.network else {"patch_size": covering_patch(network, plan.patch_size)}
            for network in NETWORKS
        },
        "common": {
            "patch_size": plan.patch_size,
            "spacing": plan.spacing,
            "normalization": plan.normalization,
            "intensity": component(plan.normalization),
        },
        "train": train,
        "metadata": _metadata(title, plan, source, channels, labels, "HU" in plan.normalization),
        "docs": _docs(title, plan, data, channels, labels),
    }


def _dataset(
    title: str, source: Source, data: Fingerprint, channels: list[str], labels: dict[str, int]
) -> dict[str, Any]:
    stated = source.content
    licence = str(stated.get("licence") or stated.get("license") or "not stated")
    dataset: dict[str, Any] = {
        "name": str(stated.get("name") or title),
        "description": str(stated.get("description") or f"{len(data.shapes)} labelled cases."),
        "licence": licence,
        "licence_text": f"The licence of the data as their owner states it: {licence}. This bundle contains no data.",
        "channel_names": {str(number): channel for number, channel in enumerate(channels)},
        "labels": labels,
    }
    if stated.get("reference"):
        dataset["reference"] = str(stated["reference"])
    if source.regions:
        order = stated.get("regions_class_order", list(range(1, 1 + len(source.regions))))
        dataset |= {"regions": source.regions, "regions_class_order": order}
    return dataset


def _metadata(
    title: str, plan: Plan, source: Source, channels: list[str], labels: dict[str, int], ct: bool
) -> dict[str, Any]:
    classes = ", ".join(f"{value} {label}" for label, value in labels.items())
    sides: list[Any] = plan.patch_size
    if plan.network == "resenc":
        sides = [f"{unit}*n+{unit}" for unit in unit_of(plan.ids["network_def#strides"])]
    names = ", ".join(label for label in labels if label != "background")
    return {
        "description": f"Segments {names} with a {NETWORKS[plan.network]}, from scratch or from a pretrained model.",
        "data_source": str(source.content.get("name") or f"{title}, the user's own data"),
        "image_classes": f"{', '.join(channels)}; {plan.normalization}",
        "label_classes": classes,
        "pred_classes": classes,
        "network_data_format#inputs#image#modality": "CT" if ct else "MR",
        "network_data_format#inputs#image#spatial_shape": sides,
        "network_data_format#outputs#pred#spatial_shape": sides,
        "references": [SPARK3D, NNUNET],
    }


def _docs(title: str, plan: Plan, data: Fingerprint, channels: list[str], labels: dict[str, int]) -> dict[str, Any]:
    spacing, patch = (" x ".join(f"{value:g}" for value in values) for values in (plan.spacing, plan.patch_size))
    found = data.summary()
    ranges = [
        f"{name} {' x '.join(f'{v:g}' for v in found[key]['median'])} (from "
        f"{' x '.join(f'{v:g}' for v in found[key]['min'])} to {' x '.join(f'{v:g}' for v in found[key]['max'])})"
        for name, key in (("median voxel in mm", "spacing"), ("median size in voxels", "shape"))
    ]
    names = ", ".join(label for label in labels if label != "background")
    origin = {
        "large": "The network is ResEnc-L, cut to the stages that the patch allows",
        "compact": "The network is a compact ResEnc U-Net, since a larger one would not fit into the memory",
        "pretrained": "Network, voxel size and intensities are those of the pretrained model it was made for",
    }[plan.size]
    limits = ["What was chosen follows from rules; nothing was tuned."]
    if plan.flip_axes == [0, 1, 2]:
        limits.append("Training mirrors all axes: where left and right are different labels give `--flip_axes [1,2]`.")
    return {
        "overview": f"{title}: segments {names}. Made by `python -m tools.new_bundle` from measurements of the data.",
        "data": "A folder with a `dataset.json` in MSD or nnU-Net raw form, the labels named as below. Measured of "
        f"{len(data.shapes)} cases: {', '.join(ranges)}. Patients are split by seed: 20 % for testing, the rest into "
        "five folds.",
        "training": f"RAS, {spacing} mm, {plan.normalization}. {origin}. Patches of {patch} voxels, {plan.batch_size} "
        f"a step; a step takes about {plan.peak_gib:g} GiB in float32 and less in mixed precision. Only this network "
        "is fitted to the memory, the other overlays are not.",
        "resources": [],
        "presets": {},
        "input": f"{len(channels)} channels on one grid: {', '.join(channels)}."
        if len(channels) > 1
        else f"One channel of {channels[0]}.",
        "output": f"Logits of {len(labels)} classes; inference writes label maps on the grid of the input.",
        "performance": {"text": "Not measured yet: train, then run `evaluate.json`.", "rows": []},
        "limits": limits,
        "references": [SPARK3D, NNUNET],
    }
