"""How many windows a GPU's memory is enough for."""

from __future__ import annotations

from collections.abc import Callable

import torch

MOST = 8  # from about there on a GPU is busy


def watch(device: torch.device) -> Callable[[], int]:
    """Begin to watch what one window needs.

    Args:
        device: a GPU.

    Returns:
        A function that, called after the window, tells how many fit at once.
    """
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)

    def fitting() -> int:
        need = torch.cuda.max_memory_allocated(device) - before
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return windows_that_fit(need, torch.cuda.mem_get_info(device)[0] + unused)

    return fitting


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether memory did not suffice; cuDNN says of a workspace only that it found no engine."""
    return isinstance(error, torch.OutOfMemoryError) or "unable to find an engine" in str(error)


def windows_that_fit(need: int, free: int) -> int:
    """Return how many windows half of the free bytes are enough for: at least one, at most `MOST`."""
    return max(1, min(MOST, free // (2 * max(need, 1))))
