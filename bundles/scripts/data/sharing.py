"""Validation cases among several processes."""

from __future__ import annotations

from collections.abc import Sized

from ..errors import InputError
from ..processes import rank_and_size


def rank_share(dataset: Sized) -> range:
    """Return the indices of this process's cases, each case being some process's once; serves as a sampler.

    Raises:
        InputError: if there are fewer cases than processes, of which one would wait for the others in vain.
    """
    rank, processes = rank_and_size()
    if 0 < len(dataset) < processes:  # with none, none waits
        raise InputError(
            f"{len(dataset)} validation cases are too few for {processes} processes: start fewer processes or hold out "
            "more"
        )
    return range(rank, len(dataset), processes)
