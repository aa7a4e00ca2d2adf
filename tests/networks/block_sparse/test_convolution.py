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
