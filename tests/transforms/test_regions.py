"""Regions against plain loops."""

import numpy as np
import pytest
import torch

from scripts.transforms import RegionTargetsd

REGIONS = {"whole tumour": [1, 2, 3], "tumour core": [2, 3], "enhancing tumour": 3}


@pytest.fixture
def label():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 4, (1, 5, 6, 7)))


def test_targets_are_the_unions(label):
    found = RegionTargetsd("label", REGIONS)({"label": label.to(torch.uint8), "case": "a"})
    assert found["label"].shape == (3, 5, 6, 7) and found["label"].dtype == torch.float32 and found["case"] == "a"
    for index, inside in enumerate(((1, 2, 3), (2, 3), (3,))):
        expected = [float(value in inside) for value in label.flatten().tolist()]
        assert found["label"][index].flatten().tolist() == expected
