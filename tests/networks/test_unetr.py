import pytest
import torch
from monai.networks import nets
from torch import nn

from scripts.errors import InputError
from scripts.networks import UNETR
from tests.mixed_precision import mixed

ENCODER = {"hidden_size": 24, "depth": 4, "num_heads": 3}


def small(in_channels=2, size=(32, 16, 32), patch=8, **options):
    torch.manual_seed(0)
    return UNETR(in_channels, 3, size, patch, **{"feature_size": 4, "drop_path": 0.0, **ENCODER, **options})


@pytest.mark.parametrize("size", [(32, 48), (32, 16, 32)])
def test_decoder_equals_monais_with_its_weights(size):
    ours = small(size=size, patch=16, skips=(1, 2, 3))
    theirs = nets.UNETR(2, 3, size, 4, 24, 48, 3, spatial_dims=len(size))
    pairs = {
        "encoder1": ours.decoder.image,
        **{f"encoder{2 + level}": skip for level, skip in enumerate(ours.decoder.skips)},
        **{f"decoder{2 + level}": up for level, up in enumerate(ours.decoder.ups)},
        "out": ours.decoder.head,
    }
    state = {f"{name}.{key}": value for name, block in pairs.items() for key, value in block.state_dict().items()}
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected and all(key.startswith("vit.") for key in missing)
    image = torch.randn(2, 2, *size)
    *states, final = ours.encoder.states(image, after=(1, 2, 3))
    tokens = {3: states[0], 6: states[1], 9: states[2]}

    class Encoder(nn.Module):
        def forward(self, image):
            return final[:, 1:], {number: value[:, 1:] for number, value in tokens.items()}

    theirs.vit = Encoder()
    torch.testing.assert_close(ours(image), theirs(image))


def test_maps_keep_each_token_at_its_place():
    net = small()
    tokens = torch.arange(1 + 4 * 2 * 4).view(1, -1, 1).float()
    assert torch.equal(net.as_map(tokens)[0, 0].flatten(), torch.arange(1.0, 33))


def test_skips_of_the_authors_and_of_small_networks():
    with torch.device("meta"):
        paper = UNETR(1, 14, (96, 96, 96))
    assert paper.skips == (3, 6, 9) and paper.num_layers == 13
    convolutions = sum(p.numel() for p in paper.decoder.parameters())
    with torch.device("meta"):
        theirs = nets.UNETR(1, 14, (96, 96, 96))
    assert convolutions == sum(p.numel() for name, p in theirs.named_parameters() if not name.startswith("vit."))
    assert small().skips == (1, 2) and small(depth=2, patch=16, size=(32, 32, 32)).skips == (0, 1, 1)


@pytest.mark.parametrize("in_channels", [1, 4])
def test_every_trained_parameter_gets_a_gradient(in_channels):
    net = small(in_channels)
    assert isinstance(net.encoder.position_embedding, nn.Parameter)
    net(torch.randn(1, in_channels, 32, 16, 32)).square().sum().backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None]


def test_the_class_token_takes_part_in_attention():
    net, image = small(), torch.randn(1, 2, 32, 16, 32)
    before = net(image)
    with torch.no_grad():
        net.encoder.class_token += 1
    assert not torch.allclose(before, net(image))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_is_close_to_float32(dtype):
    net, image = small(), torch.randn(1, 2, 32, 16, 32)
    exact = net(image)
    with mixed("cpu", dtype):
        found = net(image)
    assert (found.float() - exact).norm() < 0.03 * exact.norm()


def test_it_can_be_traced():
    net, image = small().eval(), torch.randn(1, 2, 32, 16, 32)
    traced = torch.jit.trace(net, image)
    other = torch.randn(3, 2, 32, 16, 32)
    torch.testing.assert_close(traced(other), net(other))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small(deep_supervision=True), "full resolution only"),
        (lambda: small(deep_supervision="False"), "write True or False"),
        (lambda: small(size=(32, 20, 32)), r"for example \[32, 24, 32\]"),
        (lambda: small(skips=(1,)), "give 2 numbers of blocks from 0 to 3"),
        (lambda: small(skips=(1, 4)), "give 2 numbers"),
        (lambda: small(size=(24, 24, 24), patch=12), "2, 4, 8, 16 or 32"),
        (lambda: small(patch=(8, 8, 16)), "2, 4, 8, 16 or 32"),
        (lambda: small().check_patch((32, 32, 32)), r"position table is for \[32, 16, 32\]"),
    ],
)
def test_what_cannot_work_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
