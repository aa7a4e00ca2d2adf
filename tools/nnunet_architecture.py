"""What network some weights are of, as nnU-Net's plans and our own tell it."""

from __future__ import annotations

from typing import Any

from scripts.checkpoints.resenc_keys import State


def architecture(weights: State) -> dict[str, Any]:
    """Describe the network of some weights as nnU-Net's plans do, by their names and shapes."""

    def count(prefix: str) -> int:
        return len({key.removeprefix(prefix).split(".")[0] for key in weights if key.startswith(prefix)})

    stages = range(count("encoder.stages."))
    firsts = [weights[f"encoder.stages.{stage}.blocks.0.conv1.conv.weight"] for stage in stages]
    # the decoder widens by what the encoder narrowed, from the bottleneck on
    widenings = [list(weights[f"decoder.transpconvs.{level}.weight"].shape[2:]) for level in stages[:-1]]
    return {
        "n_stages": len(stages),
        "features_per_stage": [first.shape[0] for first in firsts],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [list(first.shape[2:]) for first in firsts],
        "strides": [[1, 1, 1], *reversed(widenings)],
        "n_blocks_per_stage": [count(f"encoder.stages.{stage}.blocks.") for stage in stages],
        "n_conv_per_stage_decoder": [count(f"decoder.stages.{level}.convs.") for level in stages[:-1]],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }


def network_settings(model: State) -> dict[str, Any]:
    """Return the entry of our plans that tells a network, by the weights of an autoencoder; empty without decoder."""
    weights = {key.removeprefix("network."): value for key, value in model.items()}
    if "decoder.transpconvs.0.weight" not in weights:
        return {}
    described, channels = architecture(weights), weights["encoder.stem.convs.0.conv.weight"].shape[1]
    settings = {"name": "ResEncUNet", "in_channels": channels, "out_channels": channels}
    named = {"features": "features_per_stage", "num_blocks": "n_blocks_per_stage", "strides": "strides"}
    return {"network": settings | {ours: described[theirs] for ours, theirs in named.items()}}
