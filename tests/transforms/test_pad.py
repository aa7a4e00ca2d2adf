import pytest
import torch
from monai.data import MetaTensor

from scripts.transforms import PadEndd


@pytest.mark.parametrize(
    ("size", "padded"), [((5, 16, 17), (16, 16, 20)), ((16, 32, 16), (16, 32, 16)), ((1, 2, 33), (16, 16, 36))]
)
def test_padding_adds_zeros_at_the_end_only(size, padded):
    affine = torch.diag(torch.tensor([1.0, 2.0, 3.0, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([4.0, 5.0, 6.0])
    image = MetaTensor(torch.rand(2, *size) + 1, affine=affine)
    result = PadEndd("image", multiple=(4, 4, 4), minimum=(16, 16, 16))({"image": image, "case": "a"})
    assert result["image"].shape == (2, *padded) and result["size"].tolist() == list(size) and result["case"] == "a"
    inside = result["image"][:, : size[0], : size[1], : size[2]]
    assert torch.equal(inside.as_tensor(), image.as_tensor())
    assert torch.count_nonzero(result["image"]) == image.numel()
    assert torch.equal(result["image"].affine, affine)
