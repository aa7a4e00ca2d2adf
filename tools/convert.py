"""Weights to nnU-Net and from nnssl: `python -m tools.convert to_nnunet|from_nnssl <checkpoint> <output>`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from scripts.checkpoints import networks_in, read_checkpoint
from scripts.checkpoints.read import NUMBERS
from scripts.checkpoints.resenc_keys import from_nnssl as nnssl_names
from scripts.checkpoints.resenc_keys import to_nnunet as nnunet_names
from scripts.errors import InputError
from scripts.files import check_free, save_json, save_tensors

from .cli import cli
from .nnunet_architecture import network_settings
from .nnunet_plans import CONFIGURATION, in_our_words, matching_plans, num_channels, read_plans

WEIGHTS = ("spark_weights", "network_weights")  # the first one has tokens and densification besides


def to_nnunet(
    checkpoint: str,
    output: str,
    in_channels: int | None = None,
    plans: str | None = None,
    plans_name: str = "nnUNetMAEPlans",
) -> None:
    """Write a file for `nnUNetv2_train ... -pretrained_weights <output>`, and plans for it: see docs/nnunet.md.

    Args:
        checkpoint: a pretraining's or fine-tuning's checkpoint, bundle folder or bundle zip, with network `resenc`.
        output: file to write, such as `weights.pth`.
        in_channels: image channels of the nnU-Net dataset; not given: those of `plans`, or 1.
        plans: what nnU-Net planned for the dataset, such as
            `<nnUNet_preprocessed>/Dataset004_Hippocampus/nnUNetResEncUNetLPlans.json`; plans of the pretraining's
            network, spacing and patch are written beside it. Without, yours must have this network already.
        plans_name: of the plans to write, which nnU-Net's commands take.
    """
    check_free(output)
    content = read_checkpoint(checkpoint)
    pretraining = content.get("plan", {})
    planned = read_plans(Path(plans), plans_name) if plans else None
    channels = num_channels(planned) if planned else in_channels or 1
    if in_channels not in (None, channels):
        raise InputError(f"in_channels is {in_channels}, but {plans} is for {channels}: leave it out")
    weights = nnunet_names(content["model"], channels)
    if len(networks_in(content)) > 1:
        print(f"{checkpoint} holds {len(networks_in(content))} networks that decide together: the first is taken")
    save_tensors({"network_weights": weights}, output)
    facts = [f"{key} {pretraining[key]}" for key in ("spacing", "normalization", "patch_size") if key in pretraining]
    print(
        f"{output}: {len(weights)} tensors for nnU-Net, without heads. Pretrained with: {', '.join(facts) or 'unknown'}"
    )
    if plans and planned:
        target = Path(plans).with_name(f"{plans_name}.json")
        save_json(matching_plans(planned, weights, pretraining, plans_name), target)
        number = planned["dataset_name"].removeprefix("Dataset")[:3]
        print(
            f"{target}: plans for them. Next:\n"
            f"nnUNetv2_preprocess -d {number} -plans_name {plans_name} -c {CONFIGURATION}\n"
            f"nnUNetv2_train {number} {CONFIGURATION} 0 -p {plans_name} -pretrained_weights {output}"
        )


def from_nnssl(checkpoint: str, output: str) -> None:
    """Write weights of nnssl, of OpenMind's checkpoints or of nnU-Net, as what `--pretrained` takes.

    Args:
        checkpoint: their file, such as `checkpoint_final.pth`, of a ResEncL (nnssl's by MAE or S3D);
            `adaptation_plan.json` beside it is read where the file has no plan.
        output: file to write, such as `model.pt`.
    """
    check_free(output)
    content = read_nnssl(Path(checkpoint))
    kind = next((key for key in WEIGHTS if key in content), None)
    if kind is None:
        raise InputError(f"{checkpoint} has neither {' nor '.join(WEIGHTS)}: give a checkpoint of nnssl or nnU-Net")
    model = nnssl_names(content[kind])
    stem = model["network.encoder.stem.convs.0.conv.weight"]
    plan = {"method": content.get("trainer_name", "nnssl"), "channels": [""] * stem.shape[1]}
    plan |= network_settings(model) | in_our_words(content, Path(checkpoint).parent / "adaptation_plan.json")
    save_tensors({"model": model, "plan": plan}, output)
    print(f"{output}: {len(model)} tensors of {kind}; fine-tune with --pretrained {output}. Plan: {json.dumps(plan)}")


def read_nnssl(path: Path) -> dict[str, Any]:
    """Read a checkpoint of nnssl or nnU-Net without running code in it.

    Raises:
        InputError: if it cannot be read so.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: give a checkpoint file")
    try:
        with torch.serialization.safe_globals(NUMBERS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            f"{path} cannot be read without running code in it ({str(error).splitlines()[0][:100]}): save its "
            "'network_weights' alone, from where it comes"
        ) from error
    return content if isinstance(content, dict) else {}


if __name__ == "__main__":
    cli({"to_nnunet": to_nnunet, "from_nnssl": from_nnssl})
