import logging

import pytest
import torch
from torch.nn import functional as F

from scripts.checkpoints import load_weights, transfer_weights
from scripts.errors import InputError
from scripts.networks import UNETR, ViTClassifier, ViTMAE

ENCODER = {"patch_size": 8, "hidden_size": 24, "depth": 4, "num_heads": 3}


def randomised(network):
    """No tensor of the encoder may be at a value that every network starts from."""
    with torch.no_grad():
        for tensor in network.encoder.state_dict().values():
            tensor += 0.1 * torch.randn_like(tensor)
    return network


def mae(size=(16, 16, 24), channels=1):
    torch.manual_seed(1)
    return randomised(ViTMAE(channels, size, 12, 1, 2, **ENCODER))


def unetr(size=(16, 16, 24), channels=1, **options):
    torch.manual_seed(2)
    return UNETR(channels, 3, size, feature_size=2, **{**ENCODER, **options})


def saved(path, network, **more):
    torch.save({"model": network.state_dict(), **more}, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("target", ["unetr", "classifier"])
def test_the_whole_encoder_arrives_and_nothing_of_it_is_left_initial(tmp_path, prefix, target):
    source = mae()
    torch.save({prefix + key: value for key, value in source.state_dict().items()}, tmp_path / "mae.pt")
    network = unetr() if target == "unetr" else ViTClassifier(1, 5, (16, 16, 24), **ENCODER)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    transfer_weights(network, tmp_path / "mae.pt")
    for key, value in network.state_dict().items():
        if key.startswith("encoder."):
            assert torch.equal(value, source.state_dict()[key]) and not torch.equal(value, before[key]), key
        else:
            assert torch.equal(value, before[key]), key
    image = torch.randn(2, 1, 16, 16, 24)
    assert torch.equal(network.eval().encoder(image), source.encoder(image))


def test_a_patch_projection_of_one_channel_serves_four(tmp_path, caplog):
    source = mae()
    with caplog.at_level(logging.INFO):
        network = transfer_weights(unetr(channels=4), saved(tmp_path / "mae.pt", source)).eval()
    assert "1 adapted (encoder.patch_embedding.weight)" in caplog.text
    image = torch.randn(1, 1, 16, 16, 24)
    torch.testing.assert_close(network.encoder(image.expand(-1, 4, -1, -1, -1)), source.encoder(image))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((16, 16, 24), (32, 24, 16)),
        ((16, 16, 16), (32, 16, 24)),
        ((16, 16), (24, 32)),
        ((16, 16, 24), (24, 16, 16)),  # as many patches, so that the shapes are equal
    ],
)
def test_positions_of_another_grid_are_resampled(tmp_path, caplog, given, wanted):
    source = mae(given)
    path = saved(tmp_path / "mae.pt", source, plan={"network": source.settings})
    with caplog.at_level(logging.INFO):
        network = transfer_weights(unetr(wanted), path)
    assert "1 adapted (encoder.position_embedding)" in caplog.text
    table = source.encoder.position_embedding
    assert torch.equal(network.encoder.position_embedding[:, :1], table[:, :1])
    for channel in range(24):
        # one channel by itself, as an image
        image = table[0, 1:, channel].reshape(1, 1, *source.encoder.grid)
        mode = "bilinear" if len(given) == 2 else "trilinear"
        expected = F.interpolate(image, size=network.encoder.grid, mode=mode).flatten()
        torch.testing.assert_close(network.encoder.position_embedding[0, 1:, channel], expected)


def test_a_grid_that_nobody_tells_is_taken_as_equal_sided_or_refused(tmp_path):
    cube = transfer_weights(unetr((32, 16, 24)), saved(tmp_path / "mae.pt", mae((16, 16, 16))))
    assert cube.encoder.position_embedding.shape[1] == 1 + 4 * 2 * 3
    with pytest.raises(InputError, match=r"first encoder.position_embedding \(\(1, 13, 24\) in the file, \(1, 9, 24\)"):
        transfer_weights(unetr((16, 16, 16)), saved(tmp_path / "mae.pt", mae((16, 16, 24))))


def test_another_vit_is_refused(tmp_path):
    path = saved(tmp_path / "mae.pt", mae())
    with pytest.raises(InputError, match="absent in the file"):
        transfer_weights(unetr(depth=5), path)
    with pytest.raises(InputError, match=r"no tensor named encoder\.class_token"):
        torch.save({"encoder.stem.weight": torch.zeros(1)}, tmp_path / "unet.pt")
        transfer_weights(unetr(), tmp_path / "unet.pt")


def test_weights_that_another_setting_would_take_for_others_are_refused(tmp_path):
    source = mae()
    path = saved(tmp_path / "mae.pt", source, plan={"network": source.settings})
    with pytest.raises(InputError, match=r"trained with image_size \[16, 16, 24\], here it is \[24, 16, 16\]"):
        load_weights(mae((24, 16, 16)), path)
    with pytest.raises(InputError, match="trained with num_heads 3, here it is 6"):
        transfer_weights(unetr(num_heads=6), path)
    assert load_weights(mae(), path) and transfer_weights(unetr(), path)
    other = unetr(skips=[1, 3])
    path = saved(tmp_path / "unetr.pt", other, plan={"network": other.settings})
    assert load_weights(unetr(skips=(1, 3)), path) and transfer_weights(unetr(skips=[1, 2]), path)
    with pytest.raises(InputError, match=r"trained with skips \[1, 3\], here it is \[1, 2\]"):
        load_weights(unetr(skips=[1, 2]), path)


@pytest.mark.parametrize("parts", ["decoder", "encoder+decoder"])
def test_a_decoder_of_another_kind_is_refused(tmp_path, parts):
    network = unetr()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(InputError, match="nothing of the decoder .* give --transfer encoder"):
        transfer_weights(network, saved(tmp_path / "mae.pt", mae()), parts)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
