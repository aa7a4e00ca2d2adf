"""Weights in and out: reading files from outside, transferring a pretrained network, loading a trained one."""

from .load import check_plan, load_ensemble, load_state, load_weights
from .nnformer_keys import load_official
from .read import networks_in, read_checkpoint
from .seen import all_marks, seen_before
from .transfer import transfer_weights

__all__ = [
    "all_marks",
    "check_plan",
    "load_ensemble",
    "load_official",
    "load_state",
    "load_weights",
    "networks_in",
    "read_checkpoint",
    "seen_before",
    "transfer_weights",
]
