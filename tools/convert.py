"""Weights to nnU-Net and from nnssl: `python -m tools.convert to_nnunet|from_nnssl <checkpoint> <output>`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch

from scripts.checkpoints import read_checkpoint
from scripts.checkpoints.resenc_keys import from_nnssl as nnssl_names
from scripts.checkpoints.resenc_keys import to_nnunet as nnunet_names
from scripts.errors import InputError, plain_errors
from scripts.files import save_tensors

WEIGHTS = ("spark_weights", "network_weights")  # the first one has tokens and densification besides
# nnssl keeps its losses as numpy's numbers; these classes hold values and run no code
NUMBERS: list[Any] = [
    np.float64().__reduce__()[0],
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")),
]


def to_nnunet(checkpoint: str, output: str, in_channels: int = 1) -> None:
    """Write a file for `nnUNetv2_train ... -pretrained_weights <output>` with a ResEncL plan of the same stages.

    Args:
        checkpoint: a pretraining's or fine-tuning's checkpoint, bundle folder or bundle zip, with network `resenc`.
        output: file to write, such as `weights.pth`.
        in_channels: image channels of the nnU-Net dataset.
    """
    content = read_checkpoint(checkpoint)
    weights = nnunet_names(content["model"], in_channels)
    save_tensors({"network_weights": weights}, output)
    plan = content.get("plan", {})
    facts = [f"{key} {plan[key]}" for key in ("spacing", "normalization", "patch_size") if key in plan]
    print(
        f"{output}: {len(weights)} tensors for nnU-Net, without heads. Pretrained with: {', '.join(facts) or 'unknown'}"
    )


def from_nnssl(checkpoint: str, output: str) -> None:
    """Write weights of nnssl, of OpenMind's checkpoints or of nnU-Net, as what `--pretrained` takes.

    Args:
        checkpoint: their file, such as `checkpoint_final.pth`, of a ResEncL by MAE or S3D; `adaptation_plan.json`
            beside it is read where the file has no plan.
        output: file to write, such as `model.pt`.
    """
    content = read_nnssl(Path(checkpoint))
    kind = next((key for key in WEIGHTS if key in content), None)
    if kind is None:
        raise InputError(f"{checkpoint} has neither {' nor '.join(WEIGHTS)}: give a checkpoint of nnssl or nnU-Net")
    model = nnssl_names(content[kind])
    stem = model["network.encoder.stem.convs.0.conv.weight"]
    plan = {"method": f"nnssl {content.get('trainer_name', '')}".strip(), "channels": [""] * stem.shape[1]}
    plan |= adaptation(content.get("nnssl_adaptation_plan"), Path(checkpoint).parent / "adaptation_plan.json")
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


def adaptation(plan: dict[str, Any] | None, beside: Path) -> dict[str, Any]:
    """Return what nnssl's plan says of the pretraining's spacing (z, y, x turned to x, y, z), patch and normalisation.

    Args:
        plan: of the checkpoint, which S3D's lack.
        beside: the file that holds it otherwise.
    """
    if plan is None:
        plan = json.loads(beside.read_text()) if beside.is_file() else {}
    found: dict[str, Any] = {}
    configurations = plan.get("pretrain_plan", {}).get("configurations", {})
    for configuration in list(configurations.values())[:1]:
        if configuration.get("spacing"):
            found["spacing"] = [float(value) for value in configuration["spacing"][::-1]]
        if configuration.get("patch_size"):
            found["patch_size"] = [int(value) for value in configuration["patch_size"][::-1]]
        if configuration.get("normalization_schemes"):
            found["normalization"] = ", ".join(map(str, configuration["normalization_schemes"]))
    return found


if __name__ == "__main__":
    plain_errors()
    fire.Fire({"to_nnunet": to_nnunet, "from_nnssl": from_nnssl})
