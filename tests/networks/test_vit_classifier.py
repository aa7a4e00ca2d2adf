import pytest
import torch
from torch import nn
from torch.nn import functional as F

from scripts.errors import InputError
from scripts.networks import ViTClassifier


def small(pooling="token", size=(8, 12)):
    torch.manual_seed(0)
    options = {"patch_size": 4, "hidden_size": 24, "depth": 2, "num_heads": 3, "drop_path": 0.0}
    net = ViTClassifier(3, 5, size, pooling, **options)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.2)
    return net


def test_logits_come_from_the_normed_class_token():
    net, image = small(), torch.randn(2, 3, 8, 12)
    tokens = net.encoder(image)
    torch.testing.assert_close(net(image), F.linear(tokens[:, 0], net.decoder.head.weight, net.decoder.head.bias))


@pytest.mark.parametrize("size", [(8, 12), (8, 8, 12)])
def test_logits_come_from_the_patches_mean_with_its_own_norm(size):
    net, image = small("mean", size), torch.randn(2, 3, *size)
    tokens = net.encoder.embed(image)
    for block in net.encoder.blocks:
        tokens = block(tokens)
    mean = sum(tokens[:, n] for n in range(1, tokens.shape[1])) / (tokens.shape[1] - 1)
    mean = F.layer_norm(mean, (24,), net.decoder.norm.weight, net.decoder.norm.bias, 1e-6)
    torch.testing.assert_close(net(image), F.linear(mean, net.decoder.head.weight, net.decoder.head.bias))


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_every_trained_parameter_gets_a_gradient(pooling):
    net = small(pooling)
    net(torch.randn(1, 3, 8, 12)).square().sum().backward()
    assert not [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None]
    frozen = [name for name, p in net.named_parameters() if not p.requires_grad]
    assert frozen == (["encoder.norm.weight", "encoder.norm.bias"] if pooling == "mean" else [])


def test_published_parameter_count():
    with torch.device("meta"):
        net = ViTClassifier(3, 1000, (224, 224))
    assert sum(p.numel() for p in net.parameters()) == 86_567_656


def test_an_unknown_pooling_is_refused():
    with pytest.raises(InputError, match="token, mean"):
        small("max")
