import torch
from monai.transforms import RandSimulateLowResolution

from bundles.scripts.transforms import RandLowResolution

GENERATOR = torch.Generator().manual_seed(0)


def test_a_cube_is_what_monai_makes_of_it():
    image = torch.rand(2, 16, 18, 20, generator=GENERATOR)
    ours = RandLowResolution(1.0, (0.5, 0.8)).set_random_state(1)
    theirs = RandSimulateLowResolution(1.0, downsample_mode="area", zoom_range=(0.5, 0.8)).set_random_state(1)
    for _ in range(3):
        assert torch.equal(ours(image), theirs(image))


def test_slices_of_a_thin_patch_stay_apart():
    image = torch.zeros(1, 20, 5, 24)
    image[:, :, 2] = torch.rand(20, 24, generator=GENERATOR)
    coarse = RandLowResolution(1.0, (0.5, 0.5)).set_random_state(0)(image)
    assert not torch.equal(coarse[:, :, 2], image[:, :, 2])
    assert coarse[:, :, [0, 1, 3, 4]].count_nonzero() == 0


def test_never_if_unlikely():
    image = torch.rand(1, 4, 4, 4, generator=GENERATOR)
    assert torch.equal(RandLowResolution(0.0)(image), image)
