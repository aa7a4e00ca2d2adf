import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from benchmarks.resenc_unet import library_form
from scripts.networks import ResEncUNet
from scripts.networks.instance_norm import InstanceNorm
from tests.mixed_precision import MIXED_PRECISION, mixed

LAST = {"memory_format": torch.channels_last_3d}
SMALL = {"features": (4, 6, 8), "num_blocks": (1, 1, 2), "strides": (1, 2, (1, 2, 2))}


def pair(channels=5, affine=True):
    """Return ours and PyTorch's with the same scale and shift, in float64."""
    ours, theirs = (form(channels, affine=affine).double() for form in (InstanceNorm, nn.InstanceNorm3d))
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last_3d])
def test_values_and_gradients_are_pytorch_s(affine, order):
    ours, theirs = pair(affine=affine)
    image = torch.randn(3, 5, 4, 6, 5, dtype=torch.double).contiguous(memory_format=order)
    found, expected = (
        (out, *torch.autograd.grad(out.sin().sum(), [x, *module.parameters()]))
        for module in (ours, theirs)
        for x in [image.clone().requires_grad_()]
        for out in [module(x)]
    )
    for ours_, theirs_ in zip(found, expected, strict=True):
        torch.testing.assert_close(ours_, theirs_, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_statistics_of_large_volumes_with_air_are_exact(precision):
    """Equal values that are added one by one all round alike."""
    image = torch.randn(1, 4, 96, 96, 96)
    image[:, :, :64] = -2.7
    image = image.to(precision).contiguous(**LAST).requires_grad_()
    exact = image.detach().double().requires_grad_()
    ours, theirs = InstanceNorm(4, affine=True), nn.InstanceNorm3d(4, affine=True).double()
    upstream = torch.randn(image.shape).to(precision)
    found = torch.autograd.grad(ours(image), [image, *ours.parameters()], upstream)
    expected = torch.autograd.grad(theirs(exact), [exact, *theirs.parameters()], upstream.double())
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 8e-3}[precision]  # half of bfloat16's last place
    out, reference = ours(image).double(), theirs(exact)
    assert ((out - reference).abs() <= tolerance * (1 + reference.abs())).all()
    for one, other in zip(found, expected, strict=True):
        assert (one.double() - other).norm() <= 10 * tolerance * other.norm()


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.half])
def test_a_norm_in_half_precision_throughout(precision):
    image = torch.randn(2, 4, 5, 6, 7)
    ours, theirs = InstanceNorm(4, affine=True).to(precision), nn.InstanceNorm3d(4, affine=True)
    found = ours(image.to(precision))
    assert found.dtype == precision
    torch.testing.assert_close(found.float(), theirs(image), rtol=0.02, atol=0.02)


def test_a_network_keeps_channels_last():
    net, orders = ResEncUNet(1, 3, **SMALL), {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            module.register_forward_pre_hook(
                lambda module, given, name=name: orders.update({name: given[0].is_contiguous(**LAST)})
            )
    net(torch.randn(2, 1, 8, 8, 8))
    assert len(orders) > 15 and all(orders.values())


@pytest.mark.parametrize("deep_supervision", [True, False])
def test_the_network_is_that_of_pytorch_s_norms_and_pooling(deep_supervision):
    net = ResEncUNet(2, 3, deep_supervision=deep_supervision, **SMALL).double()
    image = torch.randn(2, 2, 8, 8, 8, dtype=torch.double)
    torch.testing.assert_close(net(image), library_form(net)(image), rtol=1e-10, atol=1e-10)


def test_a_volume_with_metadata_is_normalised_as_one_without():
    ours, theirs = pair()
    image = torch.randn(2, 5, 4, 4, 4, dtype=torch.double)
    torch.testing.assert_close(ours(MetaTensor(image)), theirs(image))


def test_a_trace_takes_batches_of_other_sizes():
    ours, theirs = pair()
    traced = torch.jit.trace(ours, torch.randn(1, 5, 4, 4, 4, dtype=torch.double))
    image = torch.randn(3, 5, 6, 4, 4, dtype=torch.double)
    torch.testing.assert_close(traced(image), theirs(image))


@MIXED_PRECISION
def test_mixed_precision_is_close_to_float32(device, dtype):
    torch.manual_seed(0)
    net, image = ResEncUNet(1, 3, **SMALL).to(device), torch.randn(2, 1, 16, 16, 16, device=device)
    exact = net(image)
    with mixed(device, dtype):
        found = net(image)
    found.float().square().mean().backward()
    assert (found - exact).norm() < 0.05 * exact.norm()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.requires_grad)
