import logging

import pytest
import torch
from ignite.engine import Engine

from scripts.checkpoints import transfer_weights
from scripts.checkpoints.preprocessing import warn_of_other_preprocessing
from scripts.errors import InputError
from scripts.handlers import BundleCheckpointLoader
from scripts.networks import ResEncUNet

HERE = {"spacing": [1.0, 1.0, 1.0], "normalization": "z-score"}


def unet():
    return ResEncUNet(1, 3, features=(4, 6), num_blocks=(1, 1), strides=(1, 2), weight_init="default")


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({}, []),
        ({"spacing": [1, 1, 1], "normalization": "z-score of the image, each channel"}, []),
        ({"spacing": [1.0, 1.0, 3.0], "normalization": "z-score"}, ["spacing [1.0, 1.0, 3.0], here: [1.0, 1.0"]),
        (
            {"spacing": [2.0, 1.0, 1.0], "normalization": "HU from -175 to 250"},
            ["spacing", "HU from -175 to 250, here: z-score"],
        ),
    ],
)
def test_weights_of_scans_prepared_otherwise_are_warned_of(tmp_path, caplog, plan, told):
    torch.save({"model": unet().state_dict(), "plan": plan}, tmp_path / "model.pt")
    with caplog.at_level(logging.WARNING):
        transfer_weights(unet(), tmp_path / "model.pt", preprocessing=HERE)
    assert len(caplog.messages) == len(told)
    assert all(words in message for words, message in zip(told, caplog.messages, strict=True))


@pytest.mark.parametrize(
    ("words", "others", "alike"),
    [
        ("HU from -175 to 250 to the range 0 to 1", "-175 to 250 HU to 0 to 1, clipped", True),
        ("HU from -175 to 250 to the range 0 to 1", "HU from -100 to 250 to the range 0 to 1", False),
        ("z-score of the non-zero voxels", "z-score over the non-zero crop, each channel", True),
        ("z-score of the non-zero voxels", "HU from 0 to 1 to the range 0 to 1", False),
    ],
)
def test_the_numbers_of_a_normalisation_count_not_its_words(words, others, alike, caplog):
    warn_of_other_preprocessing({"normalization": words}, {"normalization": others}, "model.pt")
    assert (not caplog.messages) == alike


@pytest.mark.parametrize(
    ("told", "here"),
    [
        ({"channels": ["T1", "FLAIR"]}, {"channels": ["FLAIR", "T1"]}),
        ({"normalization": "HU from -175 to 250 to the range 0 to 1"}, {"normalization": "z-score"}),
        ({"equalise": True}, {"equalise": False}),
    ],
)
def test_trained_weights_are_compared_with_what_they_get(tmp_path, caplog, told, here):
    torch.save({"model": unet().state_dict(), "plan": told}, tmp_path / "model.pt")
    engine = Engine(lambda engine, batch: None)
    for ensemble in (False, True):
        caplog.clear()
        BundleCheckpointLoader(unet(), tmp_path / "model.pt", ensemble, preprocessing=here)(engine)
        [message] = caplog.messages
        [(name, value)] = here.items()
        assert f"model.pt was trained with {name} {told[name]}, here: {value};" in message


@pytest.mark.parametrize(
    ("flipped", "mirrored", "allowed"), [([0], [0, 1, 2], "[0]"), ([], [1], "[]"), ([1, 2], [2, 0], "[2]")]
)
def test_networks_see_no_mirror_images_that_training_did_not_show(tmp_path, flipped, mirrored, allowed):
    path, engine = tmp_path / "model.pt", Engine(lambda engine, batch: None)
    torch.save({"model": unet().state_dict(), "plan": {"flip_axes": flipped}}, path)
    for axes in ([], flipped):
        BundleCheckpointLoader(unet(), path, ensemble=True, mirror_axes=axes)(engine)
    with pytest.raises(InputError) as error:
        BundleCheckpointLoader(unet(), path, ensemble=True, mirror_axes=mirrored)(engine)
    assert f'flip_axes {flipped}, here mirror_axes is {mirrored}: give --mirror_axes "{allowed}"' in str(error.value)
    torch.save({"model": unet().state_dict(), "plan": {}}, path)
    BundleCheckpointLoader(unet(), path, ensemble=True, mirror_axes=mirrored)(engine)


def test_channels_in_other_letters_are_the_same(caplog):
    warn_of_other_preprocessing({"channels": ["T1", "flair"]}, {"channels": ["t1", "FLAIR"]}, "model.pt")
    assert not caplog.messages
