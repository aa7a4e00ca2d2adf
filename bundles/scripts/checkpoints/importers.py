"""Vision transformers of other projects under this package's names."""

from __future__ import annotations

import re

import torch

State = dict[str, torch.Tensor]

PATCHES = "patch_embed.proj.weight"
NAMES = {
    "cls_token": "class_token",
    "pos_embed": "position_embedding",
    "patch_embed.proj": "patch_embedding",
    "attn.proj": "attn.out_proj",
    "mlp.fc1": "mlp.linear1",
    "mlp.fc2": "mlp.linear2",
}
ENCODER = re.compile(r"(cls_token|pos_embed|patch_embed\.proj\.\w+|blocks\.\d+\..+|norm\.\w+)$")


def imported(state: State) -> State | None:
    """Return the encoder of a ViT from elsewhere as `encoder.*` of this package's networks.

    Known are timm's names, which facebookresearch/mae has too, and those of SelfMedMAE: timm's below `encoder.`, and in
    its pretraining the position table beside it, as `encoder_pos_embed` without the class token's row, which is zero.
    Decoders and heads are left out. Whatever the encoder lacks, the result lacks.

    Args:
        state: the file's weights.

    Returns:
        The encoder, or None if these are not such names.
    """
    prefix = next((key.removesuffix(PATCHES) for key in state if ("." + key).endswith("." + PATCHES)), None)
    if prefix is None:
        return None
    inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    apart = prefix.removesuffix("encoder.") + "encoder_pos_embed"
    if apart in state:
        table = state[apart]
        inner["pos_embed"] = torch.cat([torch.zeros_like(table[:, :1]), table], dim=1)
    return {f"encoder.{_renamed(key)}": value for key, value in inner.items() if ENCODER.match(key)}


def _renamed(key: str) -> str:
    for theirs, ours in NAMES.items():
        key = re.sub(rf"(^|\.){re.escape(theirs)}(?=\.|$)", rf"\g<1>{ours}", key)
    return key
