"""Triton's kernels for NVIDIA GPUs; PyTorch forms, for everything else, are in the modules of the same names above."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec

import torch

TYPES = (torch.float32, torch.bfloat16, torch.float16)


def usable(tensor: torch.Tensor) -> bool:
    """Tell whether kernels can compute with a tensor; `torch.compile` makes its own."""
    return (
        tensor.is_cuda
        and tensor.dtype in TYPES
        and not torch.compiler.is_compiling()
        and torch.version.cuda is not None
        and find_spec("triton") is not None
        and works(tensor.device)
    )


@cache
def works(device: torch.device) -> bool:
    """Tell whether Triton builds and runs kernels, and warn if it does not.

    It needs a driver, a C compiler, Python's headers and a folder to write to, any of which a machine may lack that
    runs PyTorch.

    Args:
        device: to try it on.
    """
    from .probe import probe

    try:
        probe(device)
    except Exception as error:
        logging.getLogger(__name__).warning(
            "Triton builds no kernels on %s (%s: %s), so PyTorch's operators compute, which takes longer and gives the "
            "same; it needs a C compiler, Python's headers and a folder TRITON_CACHE_DIR to write to",
            device,
            type(error).__name__,
            error,
        )
        return False
    return True
