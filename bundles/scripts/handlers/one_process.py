"""Accounts that one process writes."""

from __future__ import annotations

import torch.distributed as dist
from ignite.engine import Engine

from ..errors import InputError


def check_one_process(_: Engine) -> None:
    """Refuse to give account of an evaluation of which other processes have a share of the cases."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        raise InputError(
            f"the evaluation runs in {dist.get_world_size()} processes, each with a share of the cases: run it in one, "
            "without torchrun and multi_gpu_train.json"
        )
