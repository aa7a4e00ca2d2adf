"""Regions against plain loops, and there and back."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.errors import InputError
from scripts.transforms import LabelsOfRegionsd, RegionTargetsd

REGIONS = {"whole tumour": [1, 2, 3], "tumour core": [2, 3], "enhancing tumour": 3}
ORDER = [1, 2, 3]


@pytest.fixture
def label():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 4, (1, 5, 6, 7)))


def test_targets_are_the_unions(label):
    found = RegionTargetsd("label", REGIONS)({"label": label.to(torch.uint8), "case": "a"})
    assert found["label"].shape == (3, 5, 6, 7) and found["label"].dtype == torch.float32 and found["case"] == "a"
    for index, inside in enumerate(((1, 2, 3), (2, 3), (3,))):
        expected = [float(value in inside) for value in label.flatten().tolist()]
        assert found["label"][index].flatten().tolist() == expected


def test_labels_come_back_from_their_regions(label):
    data = RegionTargetsd("pred", REGIONS)({"pred": label})
    assert torch.equal(LabelsOfRegionsd("pred", ORDER)(data)["pred"], label.float())


def test_the_mislabelled_enhancing_tumour_comes_back_as_well(label):
    data = RegionTargetsd("pred", {**REGIONS, "enhancing tumour": [2]})({"pred": label})
    assert torch.equal(LabelsOfRegionsd("pred", [1, 3, 2])(data)["pred"], label.float())


def test_later_regions_lie_over_earlier_ones():
    probability = MetaTensor(torch.tensor([0.9, 0.9, 0.4, 0.2, 0.6, 0.3, 0.7, 0.8, 0.3]).reshape(3, 1, 1, 3))
    # per voxel: whole 0.9, core 0.2, enhancing 0.7 -> 3; 0.9, 0.6, 0.8 -> 3; 0.4, 0.3, 0.3 -> 0
    labels = LabelsOfRegionsd("pred", ORDER)({"pred": probability})["pred"]
    assert labels.flatten().tolist() == [3, 3, 0] and isinstance(labels, MetaTensor)


def test_another_number_of_regions_is_refused():
    with pytest.raises(InputError, match=r"\[1, 2, 3\] has 3 values for the network's 2 regions"):
        LabelsOfRegionsd("pred", ORDER)({"pred": torch.zeros(2, 1, 1, 1)})
