"""On a CPU mixed precision is bfloat16 inside and float32 outside."""

import copy

import pytest
import torch

from scripts.errors import InputError
from scripts.networks import ResEncUNet, on_device


@pytest.fixture
def network():
    torch.manual_seed(0)
    return ResEncUNet(1, 2, features=[4, 8], num_blocks=[1, 1], strides=[1, 2], deep_supervision=True)


def test_without_amp_nothing_changes(network):
    image = torch.randn(1, 1, 8, 8, 8)
    expected = network.eval()(image)
    assert torch.equal(on_device(network, "cpu")(image), expected)


def test_amp_computes_in_bfloat16_and_returns_float32(network):
    seen = []
    image = torch.randn(1, 1, 8, 8, 8)
    full = copy.deepcopy(network)(image)
    network.encoder.register_forward_hook(lambda module, inputs, output: seen.append(output[-1].dtype))
    mixed = on_device(network, torch.device("cpu"), amp=True)(image)
    assert seen == [torch.bfloat16]
    assert [part.dtype for part in mixed] == [torch.float32] * len(full)
    for part, exact in zip(mixed, full, strict=True):
        assert 0 < (part - exact).abs().max() < 0.1 * exact.abs().max()
    sum(part.sum() for part in mixed).backward()
    assert all(weight.grad.dtype == torch.float32 for weight in network.parameters() if weight.grad is not None)


def test_amp_must_be_a_boolean(network):
    with pytest.raises(InputError, match="amp is 'false'"):
        on_device(network, "cpu", amp="false")
