"""Plans of nnU-Net for our pretrained networks, and what those of nnU-Net and nnssl say in our words.

They have axes as (z, y, x), ours (x, y, z).
"""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

from scripts.checkpoints.resenc_keys import State
from scripts.errors import InputError
from scripts.geometry import nearest_multiple

from .new_bundle.geometry import unit_of
from .new_bundle.intensity import Z_SCORE, Z_SCORE_NONZERO, component
from .nnunet_architecture import architecture

CONFIGURATION = "3d_fullres"
NEEDED = ("spacing", "patch_size", "median_image_size_in_voxels", "normalization_schemes", "batch_size")
NIFTI = (".nii", ".nii.gz")  # what nnU-Net can turn to RAS
UNTURNED = [0, 1, 2]
MIN_BATCH = 2  # nnU-Net's
MIN_BOTTLENECK = 2  # voxels per side: instance normalisation cannot train on one


def read_plans(path: Path, other: str) -> dict[str, Any]:
    """Read the plans that nnU-Net made for a dataset, and from beside them the dataset's `file_ending`.

    Args:
        path: the file.
        other: name of the plans that are to be made of them.

    Raises:
        InputError: if it is no such file or not of 3D data, or if plans would be overwritten.
    """
    try:
        plans = json.loads(path.read_text())
        dataset = json.loads(path.with_name("dataset.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is no readable plans file beside a dataset.json: make both by nnUNetv2_plan_experiment"
        ) from error
    configurations = plans.get("configurations") if isinstance(plans, dict) else None
    if not isinstance(configurations, dict) or "dataset_name" not in plans:
        raise InputError(f"{path} holds no plans of nnU-Net: make them by nnUNetv2_plan_experiment")
    if CONFIGURATION not in configurations:
        raise InputError(f"{path} has {', '.join(configurations)}, but no {CONFIGURATION}: the network needs 3D data")
    if missing := [key for key in NEEDED if key not in configurations[CONFIGURATION]]:
        raise InputError(f"{path} lacks {', '.join(missing)}: make it anew by nnUNetv2_plan_experiment")
    if other in (path.stem, plans.get("plans_name")):
        raise InputError(f"plans_name is {other}, the name of the plans that are given: choose another one")
    if (target := path.with_name(f"{other}.json")).exists():
        raise InputError(f"{target} exists, and data may be preprocessed by it: remove it or give another --plans_name")
    return plans | {"file_ending": dataset.get("file_ending")}


def num_channels(plans: dict[str, Any]) -> int:
    """Return the image channels of the dataset that was planned for."""
    return len(plans["configurations"][CONFIGURATION]["normalization_schemes"])


def matching_plans(planned: dict[str, Any], weights: State, pretraining: dict[str, Any], name: str) -> dict[str, Any]:
    """Return plans by which nnU-Net treats its dataset as the pretraining treated its scans (the papers' fixed plan).

    Architecture, spacing, z-score and RAS orientation are those of the pretraining, the patch too, where images are not
    shorter; a batch has about as many voxels as nnU-Net planned. What is unknown stays as planned.

    Args:
        planned: by nnU-Net for the dataset, see `read_plans`.
        weights: by nnU-Net's names.
        pretraining: plan of the checkpoint, may be empty.
        name: of the new plans.
    """
    plans = copy.deepcopy(planned)
    former = plans["configurations"][CONFIGURATION]
    # nnU-Net may turn axes (the coarsest first); the network was pretrained without
    order = plans.get("transpose_backward", UNTURNED)
    spacing, patch, median = ([former[key][axis] for axis in order] for key in NEEDED[:3])
    new_spacing = [float(mm) for mm in pretraining.get("spacing", spacing[::-1])][::-1]
    size = [n * mm / new for n, mm, new in zip(median, spacing, new_spacing, strict=True)]
    described = architecture(weights)
    new_patch = fitting_patch(pretraining.get("patch_size", patch[::-1])[::-1], size, described["strides"])
    configuration = former | {
        "data_identifier": f"{name}_{CONFIGURATION}",
        "spacing": new_spacing,
        "median_image_size_in_voxels": [round(n, 1) for n in size],
        "patch_size": new_patch,
        "batch_size": max(MIN_BATCH, former["batch_size"] * math.prod(patch) // math.prod(new_patch)),
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
            "arch_kwargs": described,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    scaling = component(pretraining.get("normalization", "")) or {}
    if scaling.get("_target_") == "NormalizeIntensityd":
        configuration["normalization_schemes"] = ["ZScoreNormalization"] * num_channels(planned)
        configuration["use_mask_for_norm"] = [scaling.get("nonzero", False)] * num_channels(planned)
    plans |= {"plans_name": name, "transpose_forward": UNTURNED, "transpose_backward": UNTURNED}
    for key in ("original_median_spacing_after_transp", "original_median_shape_after_transp"):
        if key in plans:
            plans[key] = [plans[key][axis] for axis in order]
    if plans.pop("file_ending", None) in NIFTI:
        plans["image_reader_writer"] = "NibabelIOWithReorient"
    return plans | {"configurations": {CONFIGURATION: configuration}}


def fitting_patch(pretrained: list[int], image: list[float], strides: list[list[int]]) -> list[int]:
    """Return the pretraining's patch, shortened to what covers an image, in whole voxels of the bottleneck."""
    unit = unit_of(strides)
    cover = [max(MIN_BOTTLENECK, math.ceil(n / u)) * u for n, u in zip(image, unit, strict=True)]
    patch = nearest_multiple(pretrained, unit)
    return [min(length, covering) for length, covering in zip(patch, cover, strict=True)]


def in_our_words(content: dict[str, Any], beside: Path) -> dict[str, Any]:
    """Return what a checkpoint of nnssl or nnU-Net says of its spacing (x, y, z), patch and normalisation.

    Args:
        content: the checkpoint; nnU-Net's has its plans among the trainer's arguments.
        beside: the file that holds nnssl's plan where the checkpoint has none, as S3D's.

    Raises:
        InputError: if nnU-Net turned the axes for that training.
    """
    arguments = content.get("init_args") or {}
    if plans := arguments.get("plans"):
        turned = plans.get("transpose_forward", UNTURNED)
        if turned != UNTURNED:
            raise InputError(f"its plans turn the axes (transpose_forward {turned}): take weights of plans that do not")
        configuration = plans["configurations"].get(arguments.get("configuration"), {})
    else:
        plan = content.get("nnssl_adaptation_plan")
        if plan is None:
            plan = json.loads(beside.read_text()) if beside.is_file() else {}
        configuration = next(iter(plan.get("pretrain_plan", {}).get("configurations", {}).values()), {})
    found: dict[str, Any] = {}
    if configuration.get("spacing"):
        found["spacing"] = [float(value) for value in configuration["spacing"][::-1]]
    if configuration.get("patch_size"):
        found["patch_size"] = [int(value) for value in configuration["patch_size"][::-1]]
    if schemes := configuration.get("normalization_schemes"):
        masked = any(configuration.get("use_mask_for_norm") or [])
        words = {"ZScoreNormalization": Z_SCORE_NONZERO if masked else Z_SCORE}
        found["normalization"] = ", ".join(dict.fromkeys(words.get(str(scheme), str(scheme)) for scheme in schemes))
    return found
