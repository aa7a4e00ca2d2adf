import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientationd

from scripts.errors import InputError
from scripts.transforms import NormalizeMixedIntensityd


def image():
    """Return a CT with air and metal, and a PET."""
    rng = np.random.default_rng(0)
    ct = rng.normal(40, 20, (6, 6, 6))
    ct[0], ct[1, 0, 0] = -1000, 20000
    return np.stack([ct, rng.exponential(2, ct.shape)]).astype(np.float32)


def test_ct_is_clipped_and_each_channel_z_scored():
    scan = image()
    ct, pet = np.clip(scan[0].astype(float), -100, 200), scan[1].astype(float)
    found = NormalizeMixedIntensityd("image", [[-100, 200], None])({"image": torch.from_numpy(scan)})["image"]
    for channel, expected in zip(found, (ct, pet), strict=True):
        np.testing.assert_allclose(channel, (expected - expected.mean()) / expected.std(), atol=1e-5)


def test_zeros_of_what_is_clipped_are_values():
    scan = torch.from_numpy(image())
    scan[:, 2] = 0
    found = NormalizeMixedIntensityd("image", [[-100, 200], None], nonzero=True)({"image": scan})["image"]
    assert (found[1, 2] == 0).all() and not (found[0, 2] == 0).any()
    assert float(found[1][scan[1] != 0].mean()) == pytest.approx(0, abs=1e-5)


def test_the_image_keeps_its_place_and_history():
    data = {"image": MetaTensor(torch.from_numpy(image()), affine=torch.diag(torch.tensor([-2.0, 1, 1, 1])))}
    turned = Orientationd("image", "RAS", labels=None)(data)
    found = NormalizeMixedIntensityd("image", [[-100, 200], None])(turned)["image"]
    assert torch.equal(found.affine, turned["image"].affine)
    assert found.applied_operations == turned["image"].applied_operations and len(found.applied_operations) == 1


def test_another_number_of_channels_is_refused():
    with pytest.raises(InputError, match="image has 1 channels.*--intensity#windows"):
        NormalizeMixedIntensityd("image", [[-100, 200], None])({"image": torch.zeros(1, 2, 2, 2)})
