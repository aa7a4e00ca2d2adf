"""Weights in and out: reading files from outside, transferring a pretrained network, loading a trained one."""

from .nnformer_keys import load_official
from .read import read_checkpoint
from .transfer import load_state, load_weights, transfer_weights

__all__ = ["load_official", "load_state", "load_weights", "read_checkpoint", "transfer_weights"]
