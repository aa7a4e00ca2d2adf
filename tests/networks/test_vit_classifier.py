import torch
from torch import nn
from torch.nn import functional as F

from scripts.networks import ViTClassifier


def small():
    torch.manual_seed(0)
    options = {"patch_size": 4, "hidden_size": 24, "depth": 2, "num_heads": 3, "drop_path": 0.0}
    net = ViTClassifier(3, 5, (8, 12), **options)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.2)
    return net


def test_logits_come_from_the_normed_class_token():
    net, image = small(), torch.randn(2, 3, 8, 12)
    tokens = net.encoder(image)
    torch.testing.assert_close(net(image), F.linear(tokens[:, 0], net.decoder.head.weight, net.decoder.head.bias))


def test_every_parameter_gets_a_gradient():
    net = small()
    net(torch.randn(1, 3, 8, 12)).square().sum().backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None]


def test_published_parameter_count():
    with torch.device("meta"):
        net = ViTClassifier(3, 1000, (224, 224))
    assert sum(p.numel() for p in net.parameters()) == 86_567_656
