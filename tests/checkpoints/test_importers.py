"""Files of other projects, made up with the names and shapes that those have."""

import logging

import pytest
import torch
from torch.nn import functional as F

from scripts.checkpoints import read_checkpoint, transfer_weights
from scripts.checkpoints.importers import imported
from scripts.errors import InputError
from scripts.networks import UNETR, ViTClassifier
from scripts.networks.positions import sincos_positions

E, DEPTH, HEADS = 24, 2, 2


def timm_blocks(width, depth, prefix="blocks."):
    for i in range(depth):
        for name, shape in {
            "norm1.weight": (width,),
            "norm1.bias": (width,),
            "attn.qkv.weight": (3 * width, width),
            "attn.qkv.bias": (3 * width,),
            "attn.proj.weight": (width, width),
            "attn.proj.bias": (width,),
            "norm2.weight": (width,),
            "norm2.bias": (width,),
            "mlp.fc1.weight": (4 * width, width),
            "mlp.fc1.bias": (4 * width,),
            "mlp.fc2.weight": (width, 4 * width),
            "mlp.fc2.bias": (width,),
        }.items():
            yield f"{prefix}{i}.{name}", torch.randn(shape)


def timm(channels=3, patch=(16, 16), number=4):
    """Return a timm ViT without head, as facebookresearch/mae has it too."""
    torch.manual_seed(0)
    return {
        "cls_token": torch.randn(1, 1, E),
        "pos_embed": torch.randn(1, 1 + number, E),
        "patch_embed.proj.weight": torch.randn(E, channels, *patch),
        "patch_embed.proj.bias": torch.randn(E),
        **dict(timm_blocks(E, DEPTH)),
        "norm.weight": torch.randn(E),
        "norm.bias": torch.randn(E),
    }


def facebook():
    """Return the masked autoencoder with its decoder."""
    decoder = {
        "mask_token": torch.zeros(1, 1, 16),
        "decoder_pos_embed": torch.zeros(1, 5, 16),
        "decoder_embed.weight": torch.zeros(16, E),
        "decoder_norm.weight": torch.zeros(16),
        "decoder_pred.weight": torch.zeros(768, 16),
        **dict(timm_blocks(16, 1, "decoder_blocks.")),
    }
    return {"model": {**timm(), **decoder}}


def selfmedmae(number=8):
    """Return a pretraining of SelfMedMAE: positions beside the encoder, without a row for the class token."""
    encoder = timm(1, (16, 16, 16), number)
    table = encoder.pop("pos_embed")[:, 1:]
    return {
        "epoch": 3,
        "state_dict": {
            "encoder_pos_embed": table,
            "decoder_pos_embed": torch.zeros(1, number, 12),
            "mask_token": torch.zeros(1, 1, 12),
            **{f"encoder.{key}": value for key, value in encoder.items()},
            **dict(timm_blocks(12, 1, "decoder.blocks.")),
            "decoder.norm.weight": torch.zeros(12),
            "decoder.head.weight": torch.zeros(4096, 12),
            "encoder_to_decoder.weight": torch.zeros(12, E),
        },
    }


def classifier(**options):
    return ViTClassifier(3, 5, (32, 32), hidden_size=E, depth=DEPTH, num_heads=HEADS, **options)


def unetr(size=(32, 32, 32)):
    return UNETR(1, 3, size, feature_size=2, hidden_size=E, depth=DEPTH, num_heads=HEADS)


def plain_timm(state, image):
    """Run a timm ViT written down from its description."""
    conv = F.conv2d if image.dim() == 4 else F.conv3d
    x = conv(image, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=16).flatten(2).mT
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], dim=1) + state["pos_embed"]

    def part(name):
        return state[f"{name}.weight"], state[f"{name}.bias"]

    for i in range(DEPTH):
        y = F.linear(F.layer_norm(x, (E,), *part(f"blocks.{i}.norm1"), 1e-6), *part(f"blocks.{i}.attn.qkv"))
        q, k, v = y.reshape(len(x), -1, 3, HEADS, E // HEADS).permute(2, 0, 3, 1, 4)
        y = ((q @ k.mT * (E // HEADS) ** -0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + F.linear(y, *part(f"blocks.{i}.attn.proj"))
        y = F.layer_norm(x, (E,), *part(f"blocks.{i}.norm2"), 1e-6)
        x = x + F.linear(F.gelu(F.linear(y, *part(f"blocks.{i}.mlp.fc1"))), *part(f"blocks.{i}.mlp.fc2"))
    return F.layer_norm(x, (E,), *part("norm"), 1e-6)


@pytest.mark.parametrize("content", [facebook(), timm(), {"state_dict": timm()}, {"model": timm()}])
def test_2d_names_give_the_same_features(tmp_path, content, caplog):
    torch.save(content, tmp_path / "vit.pth")
    with caplog.at_level(logging.INFO):
        network = transfer_weights(classifier(), tmp_path / "vit.pth").eval()
    assert "another project's ViT" in caplog.text and "30 tensors matched, 0 adapted" in caplog.text
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(network.encoder(image), plain_timm(timm(), image), atol=1e-4, rtol=1e-4)


def test_selfmedmae_gives_the_same_features_with_a_zero_row_for_the_class_token(tmp_path):
    torch.save(selfmedmae(), tmp_path / "checkpoint_9999.pth.tar")
    network = transfer_weights(unetr(), tmp_path / "checkpoint_9999.pth.tar").eval()
    state = timm(1, (16, 16, 16), 8)
    state["pos_embed"][:, 0] = 0
    image = torch.randn(2, 1, 32, 32, 32)
    torch.testing.assert_close(network.encoder(image), plain_timm(state, image), atol=1e-4, rtol=1e-4)


def test_selfmedmaes_own_table_is_ours():
    state = selfmedmae()["state_dict"]
    state["encoder_pos_embed"] = sincos_positions((2, 2, 2), E)
    assert torch.equal(imported(state)["encoder.position_embedding"], unetr().encoder.position_embedding)


def test_a_fine_tuned_selfmedmae_has_its_positions_in_the_encoder():
    state = {f"encoder.{key}": value for key, value in timm(1, (16, 16, 16), 8).items()}
    assert torch.equal(imported(state)["encoder.position_embedding"], state["encoder.pos_embed"])
    assert imported({"module." + key: value for key, value in state.items()}).keys() == imported(state).keys()


def test_positions_of_another_size_are_resampled(tmp_path, caplog):
    torch.save(selfmedmae(), tmp_path / "vit.pt")
    with caplog.at_level(logging.INFO):
        network = transfer_weights(unetr((48, 32, 32)), tmp_path / "vit.pt")
    assert "1 adapted (encoder.position_embedding)" in caplog.text
    assert (network.encoder.position_embedding[:, 0] == 0).all()


@pytest.mark.parametrize("lost", ["cls_token", "norm.weight", "blocks.1.mlp.fc2.bias", "pos_embed"])
def test_an_incomplete_file_is_refused_and_nothing_taken(tmp_path, lost):
    state = timm()
    del state[lost]
    torch.save(state, tmp_path / "vit.pt")
    network = classifier()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(InputError, match="1 of 30 tensors differ, first .*absent in the file"):
        transfer_weights(network, tmp_path / "vit.pt")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_other_files_are_not_taken_for_a_vit(tmp_path):
    assert imported({"encoder.stem.weight": torch.zeros(1)}) is None
    torch.save({"state_dict": {"a": 1}}, tmp_path / "odd.pt")
    with pytest.raises(InputError, match="holds no network weights"):
        read_checkpoint(tmp_path / "odd.pt")
