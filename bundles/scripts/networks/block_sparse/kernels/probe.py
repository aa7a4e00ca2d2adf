"""A kernel that shows whether Triton works here."""

from __future__ import annotations

import torch
import triton
import triton.language as tl


def probe(device: torch.device) -> None:
    """Build and run a kernel.

    Args:
        device: to run it on.

    Raises:
        Exception: what a compiler, a driver or a file system says.
        RuntimeError: if the kernel does not compute.
    """
    answer = torch.zeros(1, device=device)
    with torch.cuda.device_of(answer):  # Triton takes the current one
        _write[(1,)](answer)
    if answer.item() != 1:
        raise RuntimeError("its kernels compute nothing")


@triton.jit
def _write(answer):
    tl.store(answer, 1.0)
