"""Official names: 282857341/nnFormer, network_architecture/nnFormer_tumor.py."""

import itertools

import pytest
import torch

from scripts.checkpoints import load_official
from scripts.checkpoints.nnformer_keys import from_official
from scripts.errors import InputError
from scripts.networks import NNFormer
from tests.networks.nnformer.naive import to_official

SMALL = {"embed_dim": 8, "num_heads": (1, 2, 4, 8), "windows": (2, 2, 2, 1), "stem_strides": (2, 1), "quirks": True}


def official_names():
    """All names of a network with four stages of two blocks and one head, written out from the official modules."""

    def pairs(*layers):
        return [f"{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias")]

    def block(name, projection):
        buffers = [f"{name}.attn.relative_position_{kind}" for kind in ("bias_table", "index")]
        layers = ("norm1", f"attn.{projection}", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
        return buffers + pairs(*(f"{name}.{layer}" for layer in layers))

    stem = ("proj1.conv1", "proj1.conv2", "proj1.norm1", "proj1.norm2", "proj2.conv1", "proj2.conv2", "proj2.norm1")
    names = pairs(*(f"model_down.patch_embed.{layer}" for layer in (*stem, "norm")), "final.0.up")
    names += pairs(*(f"model_down.norm{i}" for i in range(4)))
    for i, j in itertools.product(range(4), range(2)):
        names += block(f"model_down.layers.{i}.blocks.{j}", "qkv")
    for i in range(3):
        names += pairs(f"model_down.layers.{i}.downsample.reduction", f"model_down.layers.{i}.downsample.norm")
        names += block(f"decoder.layers.{i}.blocks.0", "kv") + block(f"decoder.layers.{i}.blocks.1", "qkv")
        names += pairs(f"decoder.layers.{i}.Upsample.up", f"decoder.layers.{i}.Upsample.norm")
    return names


def test_names_are_the_official_ones():
    assert sorted(to_official(NNFormer(1, 3, **SMALL))) == sorted(official_names())


def test_weights_there_and_back(tmp_path):
    given, other = NNFormer(1, 3, **SMALL).eval(), NNFormer(1, 3, **SMALL).eval()
    state = to_official(given)
    assert from_official(state, other).keys() == given.state_dict().keys()
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "official.model")
    load_official(other, tmp_path / "official.model")
    image = torch.randn(1, 1, 16, 16, 16)
    assert torch.equal(given(image), other(image))
    assert load_official(other, None) is other


def test_only_a_network_with_quirks_takes_official_weights(tmp_path):
    torch.save(to_official(NNFormer(1, 3, **SMALL)), tmp_path / "official.pt")
    with pytest.raises(InputError, match="quirks=True"):
        load_official(NNFormer(1, 3, **{**SMALL, "quirks": False}), tmp_path / "official.pt")
    with pytest.raises(InputError, match="does not fit"):
        load_official(NNFormer(1, 4, **SMALL), tmp_path / "official.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_official(NNFormer(1, 3, **SMALL), tmp_path / "text.pt")
