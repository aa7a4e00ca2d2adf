"""Weights of the official nnFormer (github.com/282857341/nnFormer) into ours.

They mean the same only in a network with `quirks=True`. What stands where, I a stage and J a block:

    model_down.patch_embed.proj1.conv1, .conv2, proj2.conv1, .conv2    encoder.stem.convs.0 to .3
    model_down.patch_embed.proj1.norm1, .norm2, proj2.norm1, norm      encoder.stem.norms.0 to .3
    model_down.layers.I.blocks.J, decoder.layers.I.blocks.J            encoder.stages.I.J, decoder.stages.I.J
      attn.relative_position_bias_table                                  attention.bias_table
      attn.qkv, attn.kv (skip attention), attn.proj                      attention.project, .project, .out
      attn.relative_position_index                                       follows from the window
      mlp.fc1, mlp.fc2                                                   mlp.linear1, .linear2
    model_down.layers.I.downsample.reduction, .norm                    encoder.downs.I.conv, .norm
    model_down.normI                                                   encoder.norms.I
    decoder.layers.I.Upsample.up, .norm                                decoder.ups.I.conv, .norm
    final.I.up                                                         decoder.heads.I
"""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..networks.nnformer import NNFormer
from .load import State, load_state
from .read import read_checkpoint

STEM = {"convs": ("proj1.conv1", "proj1.conv2", "proj2.conv1", "proj2.conv2")}
STEM["norms"] = ("proj1.norm1", "proj1.norm2", "proj2.norm1", "norm")
MLP = {"linear1": "fc1", "linear2": "fc2"}


def official_name(name: str) -> str:
    """Return what the official code calls our tensor `name`."""
    match name.split("."):
        case ["encoder", "stem", kind, layer, leaf]:
            return f"model_down.patch_embed.{STEM[kind][int(layer)]}.{leaf}"
        case ["encoder", "downs", stage, layer, leaf]:
            return f"model_down.layers.{stage}.downsample.{'reduction' if layer == 'conv' else layer}.{leaf}"
        case ["encoder", "norms", stage, leaf]:
            return f"model_down.norm{stage}.{leaf}"
        case ["decoder", "ups", stage, layer, leaf]:
            return f"decoder.layers.{stage}.Upsample.{'up' if layer == 'conv' else layer}.{leaf}"
        case ["decoder", "heads", stage, leaf]:
            return f"final.{stage}.up.{leaf}"
        case [part, "stages", stage, block, *layer]:
            own = "model_down" if part == "encoder" else "decoder"
            return f"{own}.layers.{stage}.blocks.{block}.{_in_block(layer, part == 'decoder' and block == '0')}"
    raise KeyError(name)


def from_official(state: State, network: NNFormer) -> State:
    """Return official weights under the names of `network`; what it does not have keeps its official name."""
    ours = {official_name(name): name for name in network.state_dict()}
    return {
        ours.get(name, name): value for name, value in state.items() if not name.endswith("relative_position_index")
    }


def load_official(network: NNFormer, source: str | Path | None) -> NNFormer:
    """Load weights of the official code.

    Args:
        network: of the same geometry, with `quirks=True`.
        source: file with a state dict, also under "state_dict" as nnU-Net writes it; None changes nothing.

    Returns:
        The network.

    Raises:
        InputError: if the file cannot be read, or does not fit.
    """
    if source is None:
        return network
    if not network.settings["quirks"]:
        raise InputError(f"{source} holds weights of the official nnFormer: build the network with quirks=True")
    load_state(network, from_official(read_checkpoint(source)["model"], network), source)
    return network


def _in_block(layer: list[str], cross: bool) -> str:
    match layer:
        case ["attention", "bias_table"]:
            return "attn.relative_position_bias_table"
        case ["attention", "index"]:
            return "attn.relative_position_index"
        case ["attention", "project", leaf]:
            return f"attn.{'kv' if cross else 'qkv'}.{leaf}"
        case ["attention", "out", leaf]:
            return f"attn.proj.{leaf}"
        case ["mlp", linear, leaf]:
            return f"mlp.{MLP[linear]}.{leaf}"
    return ".".join(layer)
