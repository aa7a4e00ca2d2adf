import pytest
import torch
from monai.data import MetaTensor

from scripts.errors import InputError
from scripts.transforms import SelectChannelsd, seen_channels


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
    with pytest.raises(InputError, match="used_channels is"):
        seen_channels(["T1", "T2"], wish)


def test_a_channel_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"used_channels is \[4\]: the image has channels 0 to 3"):
        SelectChannelsd("image", [4])({"image": torch.zeros(4, 2, 2, 2)})
    with pytest.raises(InputError, match=r"used_channels is \[2\]: there are the channels 0 to 1, \['T1', 'T2'\]"):
        seen_channels(["T1", "T2"], [2])


def test_names_come_in_the_order_of_the_channels():
    assert seen_channels(["T1", "T2", "FLAIR"], [2, 0]) == ["FLAIR", "T1"] and seen_channels(["T1"]) == ["T1"]
