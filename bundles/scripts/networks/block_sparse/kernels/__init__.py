"""Triton's kernels for NVIDIA GPUs; PyTorch forms, for everything else, are in the modules of the same names above."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from shutil import which

import torch

TYPES = (torch.float32, torch.bfloat16, torch.float16)


def usable(tensor: torch.Tensor) -> bool:
    """Tell whether kernels can compute with a tensor; `torch.compile` makes its own."""
    return tensor.is_cuda and tensor.dtype in TYPES and not torch.compiler.is_compiling() and _can_build()


@cache
def _can_build() -> bool:
    """Tell whether Triton is there and what it needs: NVIDIA's driver and a C compiler."""
    compiler = os.environ.get("CC") or which("cc") or which("gcc") or which("clang")
    return torch.version.cuda is not None and find_spec("triton") is not None and compiler is not None
