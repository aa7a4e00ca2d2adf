import pytest
import torch
from monai.data import MetaTensor

from scripts.errors import InputError
from scripts.transforms import SelectChannelsd


def test_channels_come_in_the_order_asked_for_with_the_scans_place():
    image = MetaTensor(torch.randn(4, 3, 3, 3), affine=torch.diag(torch.tensor([2.0, 3, 4, 1])))
    chosen = SelectChannelsd("image", [2, 0])({"image": image, "case": "a"})
    assert torch.equal(chosen["image"].as_tensor(), image.as_tensor()[[2, 0]]) and chosen["case"] == "a"
    assert torch.equal(chosen["image"].affine, image.affine)
    assert SelectChannelsd("image")({"image": image})["image"] is image


@pytest.mark.parametrize("wish", [[], [0, 0], [-1], [1.0], 1, "01"])
def test_anything_but_different_numbers_is_refused(wish):
    with pytest.raises(InputError, match="used_channels is"):
        SelectChannelsd("image", wish)


def test_a_channel_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"used_channels is \[4\]: the image has channels 0 to 3"):
        SelectChannelsd("image", [4])({"image": torch.zeros(4, 2, 2, 2)})
