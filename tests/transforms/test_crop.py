import pytest
import torch
from monai.transforms import CropForegroundd

from scripts.transforms import is_body, is_nonzero


def test_the_crop_keeps_everything_that_is_not_zero():
    image = torch.zeros(1, 10, 10, 10)
    image[0, 2:5, 3, 4:9] = -1.0
    cropped = CropForegroundd("image", source_key="image", select_fn=is_nonzero)({"image": image})["image"]
    assert cropped.shape == (1, 3, 1, 5) and bool((cropped == -1).all())


def test_the_body_of_a_ct_is_denser_than_air_and_lung():
    assert is_body(torch.tensor([-1000.0, -700.0, -80.0, 40.0, 900.0])).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(("select", "value"), [(is_nonzero, 0.0), (is_body, -1000.0)])
def test_of_an_image_without_anything_everything_is_kept(select, value):
    crop = CropForegroundd("image", source_key="image", select_fn=select)
    assert crop({"image": torch.full((1, 4, 5, 6), value)})["image"].shape == (1, 4, 5, 6)
