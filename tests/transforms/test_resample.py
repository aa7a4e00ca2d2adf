import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from scipy.ndimage import affine_transform, gaussian_filter

from scripts.transforms import Resampled, resample
from scripts.transforms.interpolation import SLAB
from scripts.transforms.labels_at import is_mixed

ROTATED = np.array([[0.0, -1.1, 0.0, 12.0], [0.8, 0.0, 0.0, -7.0], [0.0, 0.0, 2.5, 3.0], [0.0, 0.0, 0.0, 1.0]])


def smooth(size, affine):
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij"))
    return MetaTensor(torch.from_numpy(np.exp(-(grid**2).sum(0)))[None].float(), affine=torch.from_numpy(affine))


@pytest.mark.parametrize("affine", [np.diag([0.8, 1.1, 2.5, 1.0]), ROTATED])
@pytest.mark.parametrize("size", [(20, 24, 11), (19, 23, 10)])
def test_the_inverse_returns_to_the_original_grid(affine, size):
    image = smooth(size, affine)
    transform = Resampled("image", (1.0, 1.0, 1.0))
    there = transform({"image": image, "case": "a"})
    assert affine_to_spacing(there["image"].affine).tolist() == pytest.approx([1.0, 1.0, 1.0])
    extent = [n * s for n, s in zip(size, affine_to_spacing(image.affine).tolist(), strict=True)]
    assert there["image"].shape[1:] == pytest.approx(extent, abs=2)
    back = transform.inverse(there)
    assert back["case"] == "a" and back["image"].shape == image.shape
    torch.testing.assert_close(back["image"].affine, image.affine)
    assert float((back["image"] - image).abs().max()) < 0.05


def test_values_are_found_where_the_affine_says():
    # a ramp in mm along the first axis stays that ramp on whatever grid
    image = MetaTensor(
        2.0 * torch.arange(20.0).view(1, 20, 1, 1).expand(1, 20, 6, 6), affine=torch.diag(torch.tensor([2.0, 1, 1, 1]))
    )
    moved = Resampled("image", (0.5, 1.0, 1.0))({"image": image})["image"]
    position = torch.arange(moved.shape[1]) * 0.5 + moved.affine[0, 3]
    inside = (position >= 0) & (position <= 38)
    torch.testing.assert_close(moved[0, inside, 3, 3].as_tensor(), position[inside].float(), atol=1e-3, rtol=0)


@pytest.fixture
def label():
    """Three regions that meet, on slices of 3 mm."""
    rng = np.random.default_rng(0)
    shares = np.stack([gaussian_filter(rng.standard_normal((14, 13, 8)), 2) for _ in range(3)])
    values = np.array([0, 2, 5], np.uint8)[shares.argmax(axis=0)]
    return MetaTensor(torch.from_numpy(values[None]), affine=torch.diag(torch.tensor([1.5, 1.0, 3.0, 1.0])))


def test_a_label_is_the_largest_of_linearly_interpolated_shares(label):
    moved = Resampled(["image", "label"], (1.0, 1.0, 1.0), label_keys="label", allow_missing_keys=True)
    result = moved({"label": label})
    assert set(result) == {"label"} and result["label"].dtype == torch.uint8
    ratio = 1 / np.array([1.5, 1.0, 3.0])  # of the new voxels to the old
    offset = (result["label"].affine[:3, 3].numpy() - label.affine[:3, 3].numpy()) * ratio
    size = result["label"].shape[1:]
    regions = [(label[0].numpy() == value).astype(float) for value in (0, 2, 5)]
    shares = np.stack([affine_transform(x, ratio, offset, size, order=1, mode="nearest") for x in regions])
    second, first = np.sort(shares, axis=0)[-2:]
    clear = first - second > 1e-3
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(result["label"][0].numpy()[clear], np.array([0, 2, 5])[shares.argmax(axis=0)][clear])
    back = moved.inverse(result)["label"]
    assert back.shape == label.shape and (back == label).float().mean() > 0.95


def test_a_grid_that_stays_leaves_labels_alone(label):
    same = Resampled("label", (1.5, 1.0, 3.0), label_keys="label")({"label": label})["label"]
    assert torch.equal(same.as_tensor(), label.as_tensor()) and torch.equal(same.affine, label.affine)


def test_a_large_label_is_searched_for_mixed_places_once(monkeypatch):
    searched = []
    monkeypatch.setattr(resample, "is_mixed", lambda label: searched.append(1) or is_mixed(label))
    label = MetaTensor(torch.zeros(1, 40, 100, 100, dtype=torch.uint8), affine=np.eye(4))
    moved = Resampled("label", (1.0, 1.0, 0.5), label_keys="label")({"label": label})["label"]
    assert moved[0].numel() > 2 * SLAB and len(searched) == 1


@pytest.mark.parametrize(
    "turn", [np.eye(4), np.array([[0.6, -0.8, 0, 3.1], [0.8, 0.6, 0, 0.7], [0, 0, 1, 9], [0, 0, 0, 1]])]
)
def test_half_way_between_two_labels_the_smaller_counts_on_either_side(turn):
    label = torch.zeros(1, 6, 4, 4, dtype=torch.uint8)
    label[:, 2:4] = 3
    affine = torch.from_numpy(turn @ np.diag([2.0, 1.0, 1.0, 1.0]))
    moved = Resampled("label", (1.0, 1.0, 1.0), label_keys="label")({"label": MetaTensor(label, affine=affine)})[
        "label"
    ]
    assert moved[0, :, 1, 1].tolist()[:11] == [0, 0, 0, 0, 3, 3, 3, 0, 0, 0, 0]
