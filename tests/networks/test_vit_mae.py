import pytest
import torch

from scripts.errors import InputError
from scripts.losses import MaskedMSELoss
from scripts.networks import ViTMAE
from scripts.pretraining.masks import expand_mask
from scripts.pretraining.patches import patchify
from tests.mixed_precision import MIXED_PRECISION, mixed

ENCODER = {"patch_size": 4, "hidden_size": 24, "depth": 2, "num_heads": 3}
SIZES = {2: (8, 12), 3: (8, 8, 12)}


def small(dims=3, **options):
    torch.manual_seed(0)
    return ViTMAE(
        2, SIZES[dims], **{"decoder_hidden_size": 12, "decoder_depth": 2, "decoder_num_heads": 2, **options}, **ENCODER
    )


def batch(dims=3, hidden=(4, 4)):
    generator = torch.Generator().manual_seed(1)
    grid = [n // 4 for n in SIZES[dims]]
    mask = torch.zeros(len(hidden), 1, *grid, dtype=torch.bool)
    for sample, count in zip(mask, hidden, strict=True):
        sample.view(-1)[torch.randperm(sample.numel(), generator=generator)[:count]] = True
    return torch.randn(len(hidden), 2, *SIZES[dims], generator=generator), mask


@pytest.mark.parametrize("dims", [2, 3])
def test_the_whole_equals_a_plain_loop_over_samples_and_patches(dims):
    net, (image, mask) = small(dims).double(), batch(dims)
    image = image.double()
    found = patchify(net(image, mask), net.cell_size)
    decoder = net.decoder
    for b in range(2):
        seen = [n for n, hidden in enumerate(mask[b].flatten().tolist()) if not hidden]
        tokens = decoder.embed(net.encoder(image[b : b + 1], torch.tensor([seen])))[0]
        rows = [tokens[0]]
        for n in range(mask[b].numel()):
            start = tokens[1 + seen.index(n)] if n in seen else decoder.mask_token[0, 0]
            rows.append(start + decoder.position_embedding[0, n])
        sequence = torch.stack(rows)[None]
        for block in decoder.blocks:
            sequence = block(sequence)
        expected = decoder.head(decoder.norm(sequence))[0, 1:]
        assert (found[b] - expected).abs().max() < 1e-12


@pytest.mark.parametrize("dims", [2, 3])
def test_hidden_voxels_cannot_influence_the_output(dims):
    net, (image, mask) = small(dims), batch(dims)
    hidden = expand_mask(mask, image.shape[2:])
    assert torch.equal(net(image, mask), net(torch.where(hidden, torch.nan, image), mask))
    assert not torch.equal(net(image, mask), net(torch.where(hidden, image, image + 1), mask))


def test_no_mask_means_nothing_hidden():
    net, (image, mask) = small(), batch(hidden=(0, 0))
    assert torch.equal(net(image), net(image, mask))


@pytest.mark.parametrize("hidden", [4, 0])
def test_every_trained_parameter_gets_a_gradient(hidden):
    net, (image, mask) = small(), batch(hidden=(hidden, hidden))
    net(image, mask).square().sum().backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None]
    still = {name for name, p in net.named_parameters() if p.grad.abs().max() == 0}
    assert still == (set() if hidden else {"decoder.mask_token"})


def test_masks_of_unequal_number_or_another_grid_are_refused():
    net = small()
    with pytest.raises(InputError, match="between 7 and 8 cells"):
        net(*batch(hidden=(4, 5)))
    with pytest.raises(InputError, match=r"\[2, 1, 2, 2, 2\]: .* \[2, 1, 2, 2, 3\], True = hidden"):
        net(batch()[0], torch.zeros(2, 1, 2, 2, 2, dtype=torch.bool))
    with pytest.raises(InputError, match="heads"):
        small(decoder_num_heads=5)


def test_no_generator_is_touched():
    net, (image, mask) = small().train(), batch()
    before = torch.get_rng_state()
    net(image, mask)
    assert torch.equal(torch.get_rng_state(), before)


def test_depth_of_each_parameter():
    net = small()
    layers = {name: net.layer_of(name) for name in net.state_dict()}
    assert net.num_layers == 3 and set(layers.values()) == {0, 1, 2, 3}
    assert {name for name, layer in layers.items() if layer == 0} == {
        "encoder.class_token",
        "encoder.position_embedding",
        "encoder.patch_embedding.weight",
        "encoder.patch_embedding.bias",
    }
    assert all(name.startswith(f"encoder.blocks.{n - 1}.") for name, n in layers.items() if 0 < n < 3)
    assert layers["encoder.norm.weight"] == layers["decoder.mask_token"] == 3


def test_parameter_counts_of_the_paper():
    with torch.device("meta"):
        net = ViTMAE(1, (96, 96, 96))
    blocks = 8 * (4 * 384 + 384 * 3 * 385 + 384 * 385 + 1536 * 385 + 384 * 1537) + 2 * 384
    assert sum(p.numel() for p in net.decoder.parameters()) == 384 * 769 + 384 + blocks + 4096 * 385
    assert net.cell_size == (16, 16, 16) and net.encoder.grid == (6, 6, 6)


@MIXED_PRECISION
def test_a_step_in_mixed_precision_is_close_to_float32(device, dtype):
    net, (image, mask) = small().to(device), batch()
    image, mask = image.to(device), mask.to(device)
    exact = MaskedMSELoss()(net(image, mask), (image, mask))
    exact.backward()
    wanted = {name: p.grad.clone() for name, p in net.named_parameters()}
    net.zero_grad()
    with mixed(device, dtype):
        loss = MaskedMSELoss()(net(image, mask), (image, mask))
    loss.backward()
    assert loss.item() == pytest.approx(exact.item(), rel=0.02)
    for name, p in net.named_parameters():
        assert (p.grad - wanted[name]).norm() <= 0.05 * wanted[name].norm() + 1e-4, name
