import pytest
import torch
from torch import nn

from scripts.networks import average_pool
from scripts.networks.average_pool import AveragePool

LAST = {"memory_format": torch.channels_last_3d}


@pytest.mark.parametrize("blocks", [2, (1, 2, 2), (3, 1, 2)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last_3d])
def test_values_and_gradients_are_pytorch_s(blocks, order):
    image = torch.randn(2, 3, 6, 4, 8, dtype=torch.double).contiguous(memory_format=order)
    found, expected = (
        (out, *torch.autograd.grad(out.sin().sum(), x))
        for form in (AveragePool, nn.AvgPool3d)
        for x in [image.clone().requires_grad_()]
        for out in [form(blocks)(x)]
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_channels_stay_last_in_mixed_precision_and_its_precision_stays():
    image = torch.randn(2, 3, 4, 4, 4).bfloat16().contiguous(**LAST).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = AveragePool(2)(image)
    (back,) = torch.autograd.grad(out.float().sin().sum(), image)
    assert out.dtype == torch.bfloat16 and out.is_contiguous(**LAST) and back.is_contiguous(**LAST)
    torch.testing.assert_close(out.float(), nn.AvgPool3d(2)(image.float()), rtol=0, atol=0.02)


@pytest.mark.parametrize("blocks", [(2, 2, 2), (1, 2, 2), (3, 1, 2)])
def test_the_form_of_a_gpu_rounds_half_precision_once(blocks):
    image = torch.randn(2, 8, 6, 4, 8).bfloat16().contiguous(**LAST)
    found, exact = average_pool._mean(image, blocks), nn.AvgPool3d(blocks)(image.double())
    assert found.is_contiguous(**LAST)
    torch.testing.assert_close(found, exact.bfloat16(), rtol=2**-8, atol=0)


def test_half_precision_holds_the_mean_of_what_it_holds():
    image = torch.full((1, 2, 4, 4, 4), 9000.0, dtype=torch.float16)
    assert (AveragePool(2)(image) == 9000).all()


def test_sizes_that_do_not_divide_lose_their_rest_as_with_pytorch():
    image = torch.randn(1, 2, 5, 4, 7)
    torch.testing.assert_close(AveragePool(2)(image), nn.AvgPool3d(2)(image))


def test_a_trace_takes_volumes_of_other_sizes():
    traced = torch.jit.trace(AveragePool(2), torch.randn(1, 2, 4, 4, 4))
    image = torch.randn(3, 2, 6, 4, 8)
    torch.testing.assert_close(traced(image), nn.AvgPool3d(2)(image))
