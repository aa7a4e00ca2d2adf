"""Accounts that one process writes."""

from __future__ import annotations

from ignite.engine import Engine

from ..errors import InputError
from ..processes import rank_and_size


def check_one_process(_: Engine) -> None:
    """Refuse to give account of an evaluation of which other processes have a share of the cases."""
    _, processes = rank_and_size()
    if processes > 1:
        raise InputError(
            f"the evaluation runs in {processes} processes, each with a share of the cases: run it in one, "
            "without torchrun and multi_gpu_train.json"
        )
