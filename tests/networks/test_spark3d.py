import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from scripts.errors import InputError
from scripts.losses import MaskedMSELoss
from scripts.networks import ResEncUNet, Spark3D
from scripts.pretraining.masks import draw_mask, expand_mask
from tests.mixed_precision import MIXED_PRECISION, mixed

SMALL = {"features": (4, 6, 8, 8), "num_blocks": (1, 2, 1, 1), "strides": (1, 2, 2, 2)}


def small(**options) -> Spark3D:
    torch.manual_seed(0)
    return Spark3D(ResEncUNet(1, 1, weight_init="default", **SMALL), **options).double()


def batch(size=(16, 24, 16), cells=(2, 3, 2), hidden=(7, 7)):
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(len(hidden), 1, *cells, dtype=torch.bool)
    for sample, count in zip(mask, hidden, strict=True):
        sample.view(-1)[torch.randperm(sample.numel(), generator=generator)[:count]] = True
    return torch.randn(len(hidden), 1, *size, dtype=torch.double, generator=generator), mask


# --- an independent, dense-and-mask reference: explicit loops over samples and channels, weights read by name ---------


def reference_norm(x, seen, weight=None, bias=None):
    out = torch.zeros_like(x)
    for b in range(x.shape[0]):
        where = seen[b, 0]
        for c in range(x.shape[1]):
            values = x[b, c][where]
            values = (values - values.mean()) / torch.sqrt(((values - values.mean()) ** 2).mean() + 1e-5)
            if weight is not None:
                values = values * weight[c] + bias[c]
            out[b, c][where] = values
    return out


def reference_encode(state, image, mask, num_blocks):
    def seen_at(x):
        return F.interpolate((~mask).double(), size=x.shape[2:], mode="nearest") > 0

    def conv_norm(x, name, stride=1):
        weight = state[f"{name}.conv.weight"]
        x = F.conv3d(x, weight, state.get(f"{name}.conv.bias"), stride, weight.shape[-1] // 2)
        seen = seen_at(x)
        return reference_norm(x * seen, seen, state[f"{name}.norm.weight"], state[f"{name}.norm.bias"])

    x = image * seen_at(image)
    x = F.leaky_relu(conv_norm(x, "encoder.stem.convs.0"), 0.01)
    skips = []
    for s, blocks in enumerate(num_blocks):
        for b in range(blocks):
            name, stride = f"encoder.stages.{s}.blocks.{b}", 2 if s and not b else 1
            residual = x
            if stride == 2:
                residual = F.avg_pool3d(residual, 2)
                residual = residual * seen_at(residual)
            for position in ("0", "1"):
                if f"{name}.skip.{position}.conv.weight" in state:
                    residual = conv_norm(residual, f"{name}.skip.{position}")
            y = F.leaky_relu(conv_norm(x, f"{name}.conv1", stride), 0.01)
            x = F.leaky_relu(conv_norm(y, f"{name}.conv2") + residual, 0.01)
        skips.append(x)
    return skips


def test_encoder_equals_an_independent_dense_and_mask_reference():
    net, (image, mask) = small(), batch()
    state = {k.removeprefix("network."): v for k, v in net.state_dict().items()}
    expected = reference_encode(state, image, mask, SMALL["num_blocks"])
    densified = net.encode(image * ~expand_mask(mask, image.shape[2:]), mask)
    for stage, (features, found) in enumerate(zip(expected, densified, strict=True)):
        seen = F.interpolate((~mask).double(), size=features.shape[2:], mode="nearest") > 0
        filled = torch.where(seen, reference_norm(features, seen), state[f"mask_tokens.{stage}"])
        if stage:
            name = f"densify.{stage}"
            filled = F.conv3d(filled, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)
        assert (filled - found).abs().max() < 1e-10


def test_whole_network_equals_the_reference_through_the_plain_decoder():
    net, (image, mask) = small(), batch()
    skips = net.encode(image * ~expand_mask(mask, image.shape[2:]), mask)
    assert (net(image, mask) - net.network.decoder(skips)).abs().max() < 1e-12


def test_features_are_zero_on_hidden_voxels_after_every_layer(monkeypatch):
    from scripts.networks import sparse

    net, (image, mask) = small(execution="dense"), batch()
    seen_layers = []

    def checked(function):
        def run(module, features, visible):
            out = function(module, features, visible)
            hidden = ~visible.expand_as(out)
            assert hidden.any() and (out[hidden] == 0).all() and (out[~hidden] != 0).any()
            seen_layers.append(module)
            return out

        return run

    monkeypatch.setattr(sparse, "_layer", checked(sparse._layer))
    monkeypatch.setattr(sparse, "_block", checked(sparse._block))
    net(image, mask)
    blocks = sum(SMALL["num_blocks"])
    # the stem, two layers and the block itself per block, and a projection where channels change (stages 1 and 2)
    assert len(seen_layers) == 1 + 3 * blocks + 2


def test_hidden_voxels_cannot_influence_the_output():
    net, (image, mask) = small().eval(), batch()
    hidden = expand_mask(mask, image.shape[2:])
    changed = torch.where(hidden, torch.randn_like(image) * 100, image)
    assert not torch.equal(changed, image)
    assert torch.equal(net(image, mask), net(changed, mask))


def test_visible_voxels_do_influence_the_output():
    net, (image, mask) = small(), batch()
    assert not torch.equal(net(image, mask), net(image + (~expand_mask(mask, image.shape[2:])).double(), mask))


def test_unmasked_input_lets_the_stem_look_one_voxel_into_hidden_cells():
    net, (image, mask) = small(mask_input=False), batch()
    hidden = expand_mask(mask, image.shape[2:])
    assert not torch.equal(net(image, mask), net(image * ~hidden, mask))


def test_every_trained_parameter_gets_a_gradient():
    net, (image, mask) = small(), batch()
    MaskedMSELoss()(net(image, mask), (image, mask)).backward()
    trained = {name: p for name, p in net.named_parameters() if p.requires_grad}
    without = [name for name, p in trained.items() if p.grad is None]
    assert not without
    # a bias before a norm moves nothing, all else must
    still = {name for name, p in trained.items() if p.grad.abs().max() == 0}
    assert still == {name for name in trained if name.endswith(".conv.bias")}
    untrained = [name for name, p in net.named_parameters() if not p.requires_grad]
    assert all("seg_layers" in name for name in untrained) and len(untrained) == 2 * (len(SMALL["features"]) - 2)


def test_everything_visible_is_the_plain_network_without_tokens_and_densification():
    net, (image, mask) = small(tokens=False, densify=False), batch(hidden=(0, 0))
    assert (net(image, mask) - net.network(image)).abs().max() < 1e-10


def test_no_mask_means_nothing_hidden():
    net, (image, mask) = small(), batch(hidden=(0, 0))
    assert torch.equal(net(image), net(image, mask))


def test_samples_do_not_mix():
    net, (image, mask) = small(), batch(hidden=(7, 3))
    both = net(image, mask)
    for b in range(2):
        assert (both[b : b + 1] - net(image[b : b + 1], mask[b : b + 1])).abs().max() < 1e-10


def test_dense_masked_autoencoder_of_table_2a():
    net, (image, mask) = small(sparse=False, tokens=False, densify=False), batch()
    masked = image * ~expand_mask(mask, image.shape[2:])
    assert torch.equal(net(image, mask), net.network(masked))


def test_cells_finer_than_the_bottleneck_leave_it_unmasked():
    """The reference with cells of 16 at stride 32, here 4 at stride 8."""
    net = small(cell_size=(4, 4, 4), mask_input=False)
    image, _ = batch()
    mask = draw_mask((4, 6, 4), 0.75, np.random.default_rng(0))[None].repeat(2, 1, 1, 1, 1)
    visible = net.visible_voxels(mask, image.shape[2:])
    assert visible[-1].all() and not visible[-2].all()
    assert net(image, mask).shape == image.shape


def test_cells_larger_than_the_bottleneck():
    net = small(cell_size=(16, 8, 8))
    image, _ = batch()
    mask = torch.zeros(2, 1, 1, 3, 2, dtype=torch.bool)
    mask[:, :, 0, 0] = True
    assert net.visible_voxels(mask, image.shape[2:])[-1].float().mean() == pytest.approx(2 / 3)
    assert net(image, mask).shape == image.shape


def test_a_lean_decoder_trains_all_but_the_level_it_leaves_out():
    full, net, (image, mask) = small(), small(decoder="lean"), batch()
    prediction = net(image, mask)
    assert prediction.shape == image.shape
    prediction.square().sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in net.parameters())
    untrained = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert {"mask_tokens.0", "network.decoder.stages.2.convs.0.conv.weight"} <= untrained
    assert not any("encoder" in name or "stages.1" in name for name in untrained)
    assert set(net.state_dict()) - set(full.state_dict()) == {"lean_head.weight", "lean_head.bias"}


def test_published_parameter_counts():
    net = ResEncUNet(1, 1)
    assert sum(p.numel() for p in net.parameters()) == 102_348_965
    assert sum(p.numel() for p in net.encoder.parameters()) == 90_296_576
    whole = Spark3D(net)
    assert sum(p.numel() for p in whole.parameters()) - 102_348_965 == 7_854_240


def test_state_dict_is_the_librarys_own():
    from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet

    theirs = ResidualEncoderUNet(
        1, 6, [32, 64, 128, 256, 320, 320], nn.Conv3d, 3, [1, 2, 2, 2, 2, 2], [1, 3, 4, 6, 6, 6], 1, 1, True,
        nn.InstanceNorm3d, {"eps": 1e-5, "affine": True}, None, None, nn.LeakyReLU, {"inplace": True},
    )  # fmt: skip
    ours = ResEncUNet(1, 1)
    theirs.load_state_dict(ours.state_dict())
    assert len(ours.state_dict()) == 956
    assert len([k for k in Spark3D(ours).state_dict() if k.startswith("network.")]) == 956


@MIXED_PRECISION
def test_a_step_in_mixed_precision_is_close_to_float32(device, dtype):
    net, (image, mask) = small().float().to(device), batch()
    image, mask = image.float().to(device), mask.to(device)
    exact = MaskedMSELoss()(net(image, mask), (image, mask))
    with mixed(device, dtype):
        loss = MaskedMSELoss()(net(image, mask), (image, mask))
    loss.backward()
    assert loss.item() == pytest.approx(exact.item(), rel=0.02)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.requires_grad)


def test_loss_equals_a_plain_loop_over_hidden_voxels():
    image, mask = batch(hidden=(7, 3))
    prediction = torch.randn_like(image)
    hidden = F.interpolate(mask.double(), size=image.shape[2:], mode="nearest") > 0
    errors = [(float(p) - float(t)) ** 2 for p, t in zip(prediction[hidden], image[hidden], strict=True)]
    assert float(MaskedMSELoss()(prediction, (image, mask))) == pytest.approx(sum(errors) / len(errors), abs=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small()(torch.zeros(1, 1, 12, 16, 16).double()), "patch_size"),
        (lambda: small(cell_size=(5, 5, 5)), "does not fit a stage"),
        (lambda: small(cell_size=(0, 0, 0)), "voxels per axis"),
        (lambda: small(sparse=False), "tokens"),
        (lambda: small(sparse=False, tokens=False, densify=False, mask_input=False), "set mask_input to true"),
        (lambda: small(densify="false"), "write True or False"),
        (lambda: small(execution="sparse"), "'auto' and 'dense'"),
        (lambda: small(decoder="light"), "'full' and 'lean'"),
        (lambda: Spark3D(ResEncUNet(1, 1, (4, 8), (1, 1), (1, 2)), decoder="lean"), "three stages"),
        (lambda: Spark3D(ResEncUNet(1, 3, **SMALL)), "output channels"),
        (lambda: small()(batch()[0], torch.zeros(2, 1, 2, 2, 2, dtype=torch.bool)), "the mask is"),
        (lambda: ResEncUNet(1, 1, features=(4, 8), num_blocks=(1,), strides=(1, 2)), "one entry per stage"),
        (lambda: ResEncUNet(1, 1, weight_init="zeros", **SMALL), "weight_init"),
    ],
)
def test_what_cannot_work_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
