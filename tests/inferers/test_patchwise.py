import pytest
import torch

from scripts.errors import InputError
from scripts.inferers import PatchwiseReconstruction
from scripts.networks import ResEncUNet, Spark3D


@pytest.fixture
def network():
    torch.manual_seed(0)
    unet = ResEncUNet(1, 1, features=(4, 6), num_blocks=(1, 1), strides=(1, 2), weight_init="default")
    return Spark3D(unet, cell_size=(2, 4, 4)).eval()


@pytest.mark.parametrize(("depth", "starts"), [(8, [0]), (16, [0, 8]), (20, [0, 8, 12])])
@torch.no_grad()
def test_a_volume_is_the_explicit_loop_over_its_patches(network, depth, starts):
    image, mask = torch.randn(2, 1, 16, 8, depth), torch.rand(2, 1, 8, 2, depth // 4) < 0.5
    total, count = torch.zeros_like(image), torch.zeros_like(image)
    for x in (0, 8):
        for z in starts:
            patch, cells = image[:, :, x : x + 8, :, z : z + 8], mask[:, :, x // 2 : x // 2 + 4, :, z // 4 : z // 4 + 2]
            total[:, :, x : x + 8, :, z : z + 8] += network(patch, cells)
            count[:, :, x : x + 8, :, z : z + 8] += 1
    assert count.min() == 1
    torch.testing.assert_close(PatchwiseReconstruction((8, 8, 8))(image, network, mask), total / count)


@torch.no_grad()
def test_hidden_voxels_cannot_reach_the_prediction(network):
    image, mask = torch.randn(1, 1, 16, 8, 20), torch.rand(1, 1, 8, 2, 5) < 0.5
    hidden = mask.repeat_interleave(2, 2).repeat_interleave(4, 3).repeat_interleave(4, 4)
    inferer = PatchwiseReconstruction((8, 8, 8))
    assert torch.equal(inferer(image, network, mask), inferer(torch.where(hidden, 99.0, image), network, mask))


def test_images_in_two_dimensions():
    image, mask = torch.randn(2, 3, 12, 8), torch.rand(2, 1, 3, 2) < 0.5
    hidden = mask.repeat_interleave(4, 2).repeat_interleave(4, 3)
    found = PatchwiseReconstruction((8, 8))(
        image, lambda x, cells: x * ~cells.repeat_interleave(4, 2).repeat_interleave(4, 3), mask
    )
    torch.testing.assert_close(found, image * ~hidden)


def test_an_image_smaller_than_a_patch_is_refused():
    inferer = PatchwiseReconstruction((16, 16))
    with pytest.raises(InputError, match=r"image of \[16, 12\] voxels is smaller than patch_size \[16, 16\]"):
        inferer(torch.zeros(1, 1, 16, 12), lambda x, cells: x, torch.ones(1, 1, 4, 3, dtype=torch.bool))
