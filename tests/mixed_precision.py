"""Where and in what precision a step must be close to float32; `pytest -m gpu` runs the GPU's part."""

import pytest
import torch

MIXED_PRECISION = pytest.mark.parametrize(
    ("device", "dtype"),
    [
        ("cpu", torch.bfloat16),
        ("cpu", torch.float16),
        pytest.param("cuda", torch.bfloat16, marks=pytest.mark.gpu),
        pytest.param("cuda", torch.float16, marks=pytest.mark.gpu),
    ],
)
