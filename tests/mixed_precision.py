"""Where and in what precision a step must be close to float32; `pytest -m gpu` runs the GPU's part."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
import torch

from scripts.networks.bfloat16 import Bfloat16OnCPU

MIXED_PRECISION = pytest.mark.parametrize(
    ("device", "dtype"),
    [
        ("cpu", torch.bfloat16),
        ("cpu", torch.float16),
        pytest.param("cuda", torch.bfloat16, marks=pytest.mark.gpu),
        pytest.param("cuda", torch.float16, marks=pytest.mark.gpu),
    ],
)


@contextmanager
def mixed(device: str, dtype: torch.dtype) -> Iterator[None]:
    """Enter autocast, on a CPU with what narrow grids need there."""
    with torch.autocast(device, dtype), Bfloat16OnCPU() if device == "cpu" else nullcontext():
        yield
