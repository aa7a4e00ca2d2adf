"""Convolutions of cells, as convolutions and as matrix products, against those of the volume that they are cut from."""

import pytest
import torch
from torch import nn

from scripts.networks.block_sparse import Cells, convolution

MASK = torch.tensor([[[0, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 1]]], dtype=torch.bool).view(2, 1, 1, 2, 3)


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride"), [(3, 1), (3, 2), (3, (1, 2, 2)), ((1, 3, 3), 1), ((1, 3, 3), (1, 2, 2)), (1, 1)]
)
def test_values_and_gradients_are_those_of_the_volume(small, kernel, stride, monkeypatch):
    monkeypatch.setattr(convolution, "_is_small", lambda *arguments: small)
    padding = [(k - 1) // 2 for k in (kernel if isinstance(kernel, tuple) else [kernel] * 3)]
    conv = nn.Conv3d(3, 5, kernel, stride, padding, bias=False).double()
    where, hidden = Cells(MASK), MASK.repeat_interleave(4, 2).repeat_interleave(4, 3).repeat_interleave(4, 4)
    volume = (torch.randn(2, 3, *hidden.shape[2:], dtype=torch.double) * ~hidden).requires_grad_()
    found = convolution.convolve(conv, where.gather(volume), where)
    expected = where.gather(conv(volume))
    factors = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad((out * factors).sum(), [volume, conv.weight]) for out in (found, expected))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(ours[0], theirs[0] * ~hidden)  # a hidden voxel is no cell's
    torch.testing.assert_close(ours[1], theirs[1])


def test_cells_of_two_voxels_a_side_are_small():
    assert convolution._is_small(torch.zeros(900, 4, 2, 2, 2), (1, 1, 1))
    assert not convolution._is_small(torch.zeros(1, 4, 4, 4, 4), (1, 1, 1))
    assert convolution._is_small(torch.zeros(1, 4, 4, 4, 4), (2, 2, 2))


@pytest.mark.parametrize("small", [True, False])
def test_padding_is_kept_of_few_small_cells_and_changes_nothing(small, monkeypatch):
    monkeypatch.setattr(convolution, "_is_small", lambda *arguments: small)
    conv, where = nn.Conv3d(3, 5, 3, 1, 1).double(), Cells(MASK)
    cells = torch.randn(7, 3, 2, 2, 2, dtype=torch.double, requires_grad=True)
    values, gradients = [], []
    for most in (7 * 3 * 4**3 / 2, 7 * 3 * 4**3 / 2 - 1):
        monkeypatch.setattr(convolution, "KEPT_VALUES", most)  # of two samples
        out = convolution.convolve(conv, cells, where)
        values.append(out.grad_fn.saved_tensors[0].numel())
        gradients.append(torch.autograd.grad(out.square().sum(), [cells, conv.weight]))
    assert values == [7 * 3 * 4**3, 7 * 3 * 2**3]
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


def test_products_for_small_cells_add_up_in_single_precision():
    """Of 27 products in half precision each sum would be rounded."""
    rows, weight = torch.randn(40, 16, 4, 4, 4).bfloat16(), torch.randn(16, 8, 3, 3, 3).bfloat16()
    found = convolution._of_cells_small(rows, weight, (2, 2, 2))
    exact = nn.functional.conv_transpose3d(rows.double(), weight.double(), padding=2)
    assert found.dtype == torch.bfloat16
    assert (found - exact).norm() < 0.0025 * exact.norm()  # of rounding the result alone
