"""The processes of a distributed run."""

from __future__ import annotations

import torch.distributed as dist


def rank_and_size() -> tuple[int, int]:
    """Return this process's number and how many there are: 0 and 1 where none was told of others.

    `ignite.distributed` keeps the group it saw, so that its rank raises once that group is gone.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()
