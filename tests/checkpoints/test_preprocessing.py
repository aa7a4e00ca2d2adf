import logging

import pytest
import torch

from scripts.checkpoints import transfer_weights
from scripts.networks import ResEncUNet

HERE = {"spacing": [1.0, 1.0, 1.0], "normalization": "z-score"}


def unet():
    return ResEncUNet(1, 3, features=(4, 6), num_blocks=(1, 1), strides=(1, 2), weight_init="default")


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({}, []),
        ({"spacing": [1, 1, 1], "normalization": "z-score"}, []),
        ({"spacing": [1.0, 1.0, 3.0], "normalization": "z-score"}, ["spacing [1.0, 1.0, 3.0], here it is [1.0, 1.0"]),
        ({"spacing": [2.0, 1.0, 1.0], "normalization": "HU"}, ["spacing", "normalization HU, here it is z-score"]),
    ],
)
def test_weights_of_scans_prepared_otherwise_are_warned_of(tmp_path, caplog, plan, told):
    torch.save({"model": unet().state_dict(), "plan": plan}, tmp_path / "model.pt")
    with caplog.at_level(logging.WARNING):
        transfer_weights(unet(), tmp_path / "model.pt", preprocessing=HERE)
    assert len(caplog.messages) == len(told)
    assert all(words in message for words, message in zip(told, caplog.messages, strict=True))
