"""Weights of the residual-encoder U-Net between this package, nnU-Net and nnssl.

All three build it of `ResidualEncoderUNet`, whose modules hold some tensors under several names: `conv` and `norm` of a
layer also as `all_modules.0` and `.1`, and the encoder also as `decoder.encoder`. nnssl's sparse conversion parts them:
there only `all_modules` is trained. What stands where, S a stage:

    nnU-Net, nnssl                     here
    encoder.*, decoder.*               network.encoder.*, network.decoder.*
    mask_tokens.S (nnssl's S3D)        mask_tokens.S
    densify_projs.S (nnssl's S3D)      densify.S

Both read scans as (z, y, x), this package as (x, y, z): kernels are turned, so that a scan gives the same features.
"""

from __future__ import annotations

import re

import torch

from ..errors import InputError
from .adapt import repeated_stem

State = dict[str, torch.Tensor]

FIRST = "encoder.stem.convs.0."
ALIASES = {"conv": "all_modules.0", "norm": "all_modules.1"}
STEM = "encoder.stem.convs.0.conv.weight"


def to_nnunet(state: State, in_channels: int = 1) -> State:
    """Return what nnU-Net's `-pretrained_weights` asks for: every name of the network except its heads.

    Args:
        state: of a ResEncUNet, or of a masked autoencoder around one.
        in_channels: of the nnU-Net network; the stem of one channel is repeated and divided by their number.

    Returns:
        The tensors by nnU-Net's names.

    Raises:
        InputError: if these are no such weights, or the stem cannot be fitted.
    """
    own = {key: turned(value) for key, value in _canonical(state).items() if ".seg_layers." not in key}
    if not any(key.startswith("decoder.") for key in own):
        raise InputError(
            "the weights are of an encoder alone, and nnU-Net asks for its decoder: give a whole network's"
        )
    stem = own[STEM]
    if stem.shape[1] != in_channels:
        fitted = repeated_stem(stem, stem.new_empty(stem.shape[0], in_channels, *stem.shape[2:]))
        if fitted is None:
            raise InputError(
                f"in_channels is {in_channels}, but the weights are of {stem.shape[1]} channels: give that"
            )
        own[STEM] = fitted.contiguous()
    return _with_aliases(own)


def from_nnssl(state: State) -> State:
    """Return the weights of an nnssl or nnU-Net network as those of a masked autoencoder of this package.

    Args:
        state: `network_weights`, or for S3D the `spark_weights` with tokens and densification.

    Returns:
        The tensors by this package's names.

    Raises:
        InputError: if these are no such weights.
    """
    network = {key: turned(value) for key, value in _canonical(state).items()}
    for key, value in network.items():
        if key.endswith(".conv.weight") and ".skip." not in key and value.shape[2:] != (3, 3, 3):
            raise InputError(
                f"{key} has a kernel of {list(value.shape[2:])}, and the networks here have [3, 3, 3] throughout: take "
                "weights of 3D plans with isotropic kernels"
            )
    own = {f"network.{key}": value for key, value in _with_aliases(network).items()}
    for key, value in state.items():
        if found := re.search(r"(?:^|\.)(mask_tokens|densify_projs)\.(\d+.*)$", key):
            own[f"{found[1].replace('densify_projs', 'densify')}.{found[2]}"] = turned(value)
    return own


def turned(tensor: torch.Tensor) -> torch.Tensor:
    """Swap the first and the last spatial axis of a kernel (C, C, z, y, x); other tensors stay."""
    return tensor.transpose(2, 4).contiguous() if tensor.dim() == 5 else tensor


def _canonical(state: State) -> State:
    """Return each tensor once, by its shortest name, with the values that the network computes with."""
    firsts = (key for key in state if f".{FIRST}" in f".{key}" and "decoder." not in key)
    prefix = next((key[: key.index(FIRST)] for key in firsts), None)
    if prefix is None:
        raise InputError(f"there is no {FIRST}*: the weights are not of a residual-encoder U-Net (ResEnc)")
    inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    inner = {k: v for k, v in inner.items() if k.startswith(("encoder.", "decoder.")) and "decoder.encoder." not in k}
    found = {k: v for k, v in inner.items() if ".all_modules." not in k}
    for name, alias in ALIASES.items():
        trained = {k.replace(f".{alias}.", f".{name}."): v for k, v in inner.items() if f".{alias}." in k}
        # with dropout between them the second one is not the norm
        found |= {k: v for k, v in trained.items() if k not in found or found[k].shape == v.shape}
    return found


def _with_aliases(state: State) -> State:
    """Return each tensor under all names that `ResidualEncoderUNet` has for it."""
    everything: State = {}
    for key, value in state.items():
        everything[key] = value
        for name, alias in ALIASES.items():
            if f".{name}." in key:
                everything[key.replace(f".{name}.", f".{alias}.")] = value
    return everything | {f"decoder.{k}": v for k, v in everything.items() if k.startswith("encoder.")}
