import itertools

import pytest
import torch
from monai.inferers import SlidingWindowInferer

from scripts.inferers import MirroredSlidingWindowInferer


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv3d(1, 3, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv3d(3, 2, 3, padding=1)
    )


@pytest.mark.parametrize("axes", [(), (0,), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("size", [(8, 8, 8), (13, 9, 8)])
@torch.no_grad()
def test_mirroring_is_the_mean_over_explicit_flips(network, axes, size):
    image = torch.randn(2, 1, *size)
    options = {"roi_size": (8, 8, 8), "sw_batch_size": 3, "overlap": 0.5, "mode": "gaussian"}
    flips = [f for n in range(len(axes) + 1) for f in itertools.combinations([a + 2 for a in axes], n)]
    assert len(flips) == 2 ** len(axes)

    def mirrored(window):
        return torch.stack([torch.flip(network(torch.flip(window, flip)), flip) for flip in flips]).mean(dim=0)

    result = MirroredSlidingWindowInferer(mirror_axes=axes, **options)(image, network)
    torch.testing.assert_close(result, SlidingWindowInferer(**options)(image, mirrored), atol=1e-5, rtol=1e-5)
    if size == (8, 8, 8):
        torch.testing.assert_close(result, mirrored(image), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_mirrored_image_gives_the_mirrored_prediction(network):
    image = torch.randn(1, 1, 8, 8, 8)
    inferer = MirroredSlidingWindowInferer(mirror_axes=(0, 1, 2), roi_size=(8, 8, 8))
    torch.testing.assert_close(inferer(image.flip(2, 4), network), inferer(image, network).flip(2, 4))
