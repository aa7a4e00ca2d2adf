"""What a checkpoint holds without having trained it."""

from __future__ import annotations

import torch

LEAN = "lean_head.weight"  # of Spark3D's leaner decoder, which leaves out the finest level
LEVELS = ("decoder.stages.", "decoder.transpconvs.")
HEADS = "decoder.seg_layers."


def trained_tensors(state: dict[str, torch.Tensor], whole: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Leave out the finest level and the heads of a U-Net that was pretrained with a lean decoder.

    Args:
        state: the U-Net's.
        whole: the masked autoencoder's, as its checkpoint has it.
    """
    if not any(key.endswith(LEAN) for key in whole):
        return state
    last = max(int(key.split(".")[2]) for key in state if key.startswith(LEVELS[0]))
    left_out = (*(f"{level}{last}." for level in LEVELS), HEADS)
    return {key: tensor for key, tensor in state.items() if not key.startswith(left_out)}
