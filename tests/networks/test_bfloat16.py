"""In bfloat16 on a CPU gradients are right where those of PyTorch's operators are not."""

from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from scripts.networks import on_device, recompute

SIZES = list(product((1, 2, 3, 4), repeat=3))
PADDED = {
    "3x3x3": lambda: nn.Conv3d(16, 16, 3, padding=1, bias=False),
    "1x3x3": lambda: nn.Conv3d(16, 16, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False),
    "strided": lambda: nn.Conv3d(16, 16, 3, 2, 1, bias=False),
    "5x5x5": lambda: nn.Conv3d(16, 16, 5, padding=2, bias=False),
    "transposed": lambda: nn.ConvTranspose3d(16, 16, 4, 2, 1, bias=False),
    "transposed 3x4x4": lambda: nn.ConvTranspose3d(16, 16, (3, 4, 4), (1, 2, 2), 1, bias=False),
}


class Recomputed(nn.Module):
    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, image):
        return recompute.run(self.conv, image, checkpointing=True)


def leave_nan_in_freed_memory():
    for numbers in (8, 64, 512, 4096, 32768):
        [torch.full((numbers,), torch.nan, dtype=dtype) for dtype in (torch.float32, torch.bfloat16) for _ in range(4)]


@pytest.mark.parametrize("wrap", [nn.Identity, Recomputed])
@pytest.mark.parametrize("kind", PADDED)
def test_padded_convolutions_of_narrow_grids_have_gradients_of_double_precision(kind, wrap):
    torch.manual_seed(0)
    conv = PADDED[kind]()
    mixed = on_device(nn.Sequential(conv) if wrap is nn.Identity else wrap(conv), "cpu", amp=True)
    plain = F.conv_transpose3d if conv.transposed else F.conv3d
    for size in SIZES:
        image = torch.randn(2, 16, *size).bfloat16().float()
        exact = conv.weight.detach().bfloat16().double().requires_grad_()
        expected = plain(image.double(), exact, None, conv.stride, conv.padding)
        grad = torch.randn_like(expected).bfloat16().double()
        expected.backward(grad)
        conv.weight.grad = None
        out = mixed(image)
        leave_nan_in_freed_memory()
        out.backward(grad.float())
        torch.testing.assert_close(out.double(), expected, rtol=0.02, atol=0.02, msg=f"{kind} of {size}")
        torch.testing.assert_close(conv.weight.grad.double(), exact.grad, rtol=0.02, atol=0.1, msg=f"{kind} of {size}")


def test_layer_norms_of_many_tokens_have_gradients_of_double_precision():
    torch.manual_seed(0)
    tokens, grad = torch.randn(1, 4096, 24).bfloat16(), torch.rand(1, 4096, 24)  # of one sign, to add up
    exact, mixed = nn.LayerNorm(24).double(), on_device(nn.LayerNorm(24), "cpu", amp=True)
    exact(tokens.double()).backward(grad.double())
    mixed(tokens).backward(grad)
    for found, expected in zip(mixed.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(found.grad.double(), expected.grad, rtol=1e-3, atol=0.1)
