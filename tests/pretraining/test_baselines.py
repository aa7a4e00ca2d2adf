import numpy as np
import pytest
import torch

from scripts.pretraining.baselines import interpolate_visible, visible_mean


def test_visible_mean_equals_numpy():
    rng = np.random.default_rng(0)
    image, hidden = rng.normal(size=(3, 2, 5, 6, 7)), rng.random((3, 1, 5, 6, 7)) < 0.7
    guess = visible_mean(torch.from_numpy(image), torch.from_numpy(hidden)).numpy()
    for b in range(3):
        for c in range(2):
            assert guess[b, c] == pytest.approx(np.full((5, 6, 7), image[b, c][~hidden[b, 0]].mean()))


def test_interpolation_reproduces_a_linear_ramp():
    # linear functions are harmonic, so the smoothest surface through a ramp is the ramp
    x, y, z = torch.meshgrid(*(torch.linspace(0, 1, 16, dtype=torch.double),) * 3, indexing="ij")
    image = (2 * x - 3 * y + z)[None, None]
    hidden = torch.zeros(1, 1, 16, 16, 16, dtype=torch.bool)
    hidden[..., 4:12, 4:8, 6:14] = True
    torch.testing.assert_close(interpolate_visible(image, hidden, num_sweeps=800), image, atol=1e-6, rtol=0)


def test_interpolation_keeps_visible_voxels_and_stays_between_them():
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, 1, 12, 12, 12, generator=generator)
    hidden = (torch.rand(2, 1, 3, 3, 3, generator=generator) < 0.7).repeat_interleave(4, 2).repeat_interleave(4, 3)
    hidden = hidden.repeat_interleave(4, 4)
    filled = interpolate_visible(image, hidden)
    assert torch.equal(filled[~hidden], image[~hidden])
    for guess, case, where in zip(filled, image, hidden, strict=True):
        seen = case[~where]
        assert seen.min() <= guess.min() and guess.max() <= seen.max()


def test_hidden_voxels_do_not_matter():
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 1, 8, 8, 8, generator=generator)
    hidden = torch.zeros(1, 1, 8, 8, 8, dtype=torch.bool)
    hidden[..., 2:6, 2:6, 2:6] = True
    other = torch.where(hidden, 1e3, image)
    for predict in (visible_mean, interpolate_visible):
        torch.testing.assert_close(predict(image, hidden)[hidden], predict(other, hidden)[hidden])


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_images_of_any_dimension_are_volumes_that_do_not_change_along_the_others(dims):
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, 2, *(8,) * dims, generator=generator, dtype=torch.double)
    hidden = torch.rand(2, 1, *(8,) * dims, generator=generator) < 0.5
    more = (1,) * (3 - dims)
    volume, where = image.view(2, 2, *(8,) * dims, *more), hidden.view(2, 1, *(8,) * dims, *more)
    volume, where = volume.expand(-1, -1, 8, 8, 8), where.expand(-1, -1, 8, 8, 8)
    middle = (..., *(4 for _ in more))
    for predict in (visible_mean, lambda x, where: interpolate_visible(x, where, num_sweeps=3000)):
        torch.testing.assert_close(predict(image, hidden), predict(volume, where)[middle], atol=1e-6, rtol=0)
