import itertools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scripts.checkpoints import transfer_weights
from scripts.errors import InputError
from scripts.losses import MaskedMSELoss
from scripts.networks import NNFormer, NNFormerMAE
from scripts.pretraining.masks import expand_mask
from scripts.pretraining.targets import CellNormalizedTargets
from tests.mixed_precision import mixed
from tests.networks.nnformer import naive

# tokens of 2x2x2 voxels; grids 16, 8, 4, 2 of a patch of 32^3; a bottleneck token is 16^3 voxels, so 8 cells
SMALL = {"embed_dim": 8, "num_heads": (1, 2, 4, 8), "windows": (4, 4, 4, 2), "stem_strides": (2, 1), "drop_path": 0.0}
LIGHT = {"decoder_dim": 12, "decoder_depth": 1, "decoder_heads": 2}
SIZE = (32, 32, 32)
MODES = pytest.mark.parametrize("mode", ["sparse", "dense"])


def small(mode="sparse", dtype=torch.float64, network=None, **settings):
    torch.manual_seed(0)
    return NNFormerMAE(NNFormer(1, 3, **{**SMALL, **(network or {})}), mode, **{**LIGHT, **settings}).to(dtype)


def batch(dtype=torch.float64):
    """Two samples, of which each shows two of its 2x2x2 cells."""
    torch.manual_seed(1)
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[0, [1, 6]] = mask[1, [4, 5]] = False
    return torch.randn(2, 1, *SIZE, dtype=dtype), mask.view(2, 1, 2, 2, 2)


def test_everything_visible_in_one_unit_is_the_dense_encoder():
    net, (image, _) = small(cell_size=SIZE), batch()
    expected = net.encoder(image)
    for found, want in zip(net.encode(image, torch.zeros(2, 1, 1, 1, 1, dtype=torch.bool)), expected, strict=True):
        assert (found - want).abs().max() < 1e-12


def reference_encode(net, image, mask):
    """One sample (C, D, H, W): visible cells alone through the first two stages, then only visible tokens attend."""
    state, s = naive.to_official(net), net.settings
    cells = [c for c in itertools.product(range(2), repeat=3) if not mask[0][c]]
    outputs = [[], [], [], []]
    seen = torch.zeros(4, 4, 4, 32, dtype=image.dtype)
    for cell in cells:
        voxels = tuple(slice(16 * i, 16 * i + 16) for i in cell)
        x = naive.stem(state, image[(slice(None), *voxels)], s["stem_strides"])
        for stage in range(2):
            for b in range(2):
                name = f"model_down.layers.{stage}.blocks.{b}"
                x = naive.block(state, name, x, s["windows"][stage], b == 1, s["num_heads"][stage])
            outputs[stage].append(naive.norm(state, f"model_down.norm{stage}", x))
            x = down(state, stage, x)
        seen[tuple(slice(2 * i, 2 * i + 2) for i in cell)] = x
    for stage in (2, 3):
        side = 2 if stage == 2 else 1
        places = [tuple(side * i + j for i, j in zip(c, o, strict=True)) for c in cells for o in corner(side)]
        for b in range(2):
            seen = only_visible_attend(state, f"model_down.layers.{stage}.blocks.{b}", seen, places, s, stage)
        normed = naive.norm(state, f"model_down.norm{stage}", seen)
        outputs[stage] = [normed[tuple(slice(side * i, side * i + side) for i in c)] for c in cells]
        if stage == 2:
            finer = naive.norm(state, "model_down.layers.2.downsample.norm", naive.gelu(seen))
            hidden = torch.ones(4, 4, 4, 1, dtype=torch.bool)
            for place in places:
                hidden[place] = False
            finer = finer.masked_fill(hidden, 0)
            seen = naive.conv(state, "model_down.layers.2.downsample.reduction", finer, stride=2, padding=1)
    return [torch.stack(maps) for maps in outputs]


def corner(side):
    return itertools.product(range(side), repeat=3)


def down(state, stage, x):
    name = f"model_down.layers.{stage}.downsample"
    return naive.conv(state, f"{name}.reduction", naive.norm(state, f"{name}.norm", naive.gelu(x)), stride=2, padding=1)


def only_visible_attend(state, name, x, places, s, stage):
    x, window, heads = x.clone(), tuple(s["windows"][stage]), s["num_heads"][stage]
    tokens = torch.stack([x[p] for p in places])
    q, k, v = (
        naive.norm(state, f"{name}.norm1", tokens) @ state[f"{name}.attn.qkv.weight"].T + state[f"{name}.attn.qkv.bias"]
    ).chunk(3, dim=-1)
    table = state[f"{name}.attn.relative_position_bias_table"]
    for t, place in enumerate(places):
        rows = [naive.table_row(tuple(a - b for a, b in zip(place, p, strict=True)), window, False) for p in places]
        mixed = naive.attend(q[t], k, v, rows, table, heads)
        y = tokens[t] + state[f"{name}.attn.proj.weight"] @ mixed + state[f"{name}.attn.proj.bias"]
        hidden = naive.gelu(state[f"{name}.mlp.fc1.weight"] @ naive.norm(state, f"{name}.norm2", y)
                            + state[f"{name}.mlp.fc1.bias"])  # fmt: skip
        x[place] = y + state[f"{name}.mlp.fc2.weight"] @ hidden + state[f"{name}.mlp.fc2.bias"]
    return x


def test_sparse_encoder_equals_one_written_token_by_token():
    torch.manual_seed(0)
    # windows of 2 keep the loops short, and stages 1 and 2 of a unit shift
    net = NNFormer(1, 3, **{**SMALL, "windows": (2, 2, 4, 2)}).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    mae, (image, mask) = NNFormerMAE(net, **LIGHT).double(), batch()
    with torch.no_grad():
        found = mae.encode(image[:1], mask[:1])
        expected = reference_encode(net, image[0], mask[0])
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and (a - b).abs().max() < 1e-8


@MODES
def test_hidden_voxels_cannot_influence_encoder_and_prediction(mode):
    net, (image, mask) = small(mode), batch()
    hidden = expand_mask(mask, SIZE)
    changed = torch.where(hidden, torch.full_like(image, float("nan")), image)
    for a, b in zip(net.encode(image, mask), net.encode(changed, mask), strict=True):
        assert torch.equal(a, b) and a.isfinite().all()
    assert torch.equal(net(image, mask), net(changed, mask))
    assert not torch.equal(net(image, mask), net(image + 1, mask))


@MODES
def test_every_parameter_gets_a_gradient(mode):
    net, (image, mask) = small(mode), batch()
    MaskedMSELoss()(net(image, mask), (image, mask)).backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None or p.grad.abs().max() == 0]


@MODES
def test_hidden_cells_of_a_toy_set_are_learnt(mode):
    """Waves of one length, of which the visible cells tell the phase; 1 is what predicting each cell's mean gives."""
    torch.manual_seed(0)
    mae = NNFormerMAE(
        NNFormer(1, 3, 12, (1, 2, 3), (1, 1, 1), (1, 1), (2, 4, 2), (2, 2), drop_path=0.0), mode,
        decoder_dim=24, decoder_depth=1, decoder_heads=2,
    )  # fmt: skip
    loss = MaskedMSELoss(CellNormalizedTargets(mae.target_size))
    optimizer = torch.optim.AdamW(mae.parameters(), lr=3e-3, betas=(0.9, 0.95))
    place = torch.arange(8).view(1, 1, 8, 1, 1).expand(-1, -1, 8, 8, 8)
    errors = []
    for _ in range(120):
        image = torch.sin(place * torch.pi / 4 + 2 * torch.pi * torch.rand(8, 1, 1, 1, 1))
        mask = torch.stack([torch.randperm(8) < 4 for _ in range(8)]).view(8, 1, 2, 2, 2)
        optimizer.zero_grad()
        error = loss(mae(image, mask), (image, mask))
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[0] > 0.9 and sum(errors[-10:]) / 10 < 0.5


@MODES
def test_samples_do_not_mix(mode):
    net, (image, mask) = small(mode), batch()
    both = net(image, mask)
    for b in range(2):
        assert (both[b : b + 1] - net(image[b : b + 1], mask[b : b + 1])).abs().max() < 1e-10


def test_prediction_lies_where_its_token_lies():
    """A constant bias of one voxel of a token appears at that voxel of every token, in every channel."""
    net, (image, mask) = small(), batch()
    with torch.no_grad():
        before = net(image, mask)
        net.predictor.voxels.bias.view(8, 8, 8)[1, 2, 3] += 1
        moved = net(image, mask) - before
    assert net.target_size == (8, 8, 8)
    assert (moved[:, :, 1::8, 2::8, 3::8] - 1).abs().max() < 1e-10 and moved.sum().item() == pytest.approx(2 * 64)


def test_visible_tokens_stay_at_their_place():
    """The decoder gets each visible cell's fused tokens at that cell, and the mask token everywhere else."""
    net, (image, mask) = small(), batch()
    given = []
    net.predictor.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    net(image, mask)
    hidden = expand_mask(mask, (4, 4, 4))[:, 0]
    assert (given[0][hidden] == net.mask_token).all()
    fused = net.fusion(net.encode(image, mask)).unflatten(0, (2, -1))
    for b in range(2):
        for n, (d, h, w) in enumerate((~mask[b, 0]).nonzero().tolist()):
            cell = tuple(slice(2 * place, 2 * place + 2) for place in (d, h, w))
            assert torch.equal(given[0][b][cell], fused[b, n])


@MODES
def test_no_mask_means_nothing_hidden(mode):
    net, (image, mask) = small(mode), batch()
    assert torch.equal(net(image), net(image, torch.zeros_like(mask)))


def test_larger_cells_and_uneven_patches():
    net = small(cell_size=(16, 32, 32))
    mask = torch.tensor([True, False]).view(1, 1, 2, 1, 1)
    assert net(batch()[0][:1], mask).shape == (1, 1, *SIZE)
    net = small(network={"windows": (4, 4, (4, 6, 4), (2, 3, 2))})
    mask = (torch.arange(12) > 2).view(1, 1, 2, 3, 2)
    assert net(torch.randn(1, 1, 32, 48, 32).double(), mask).shape == (1, 1, 32, 48, 32)


def test_acdc_geometry_in_dense_mode():
    torch.manual_seed(0)
    net = NNFormerMAE(NNFormer.acdc(embed_dim=12, drop_path=0.0), "dense", **LIGHT)
    assert net.cell_size == (2, 32, 32) and net.target_size == (2, 16, 16)
    mask = (torch.arange(175) % 4 > 0).view(1, 1, 7, 5, 5)
    assert net(torch.randn(1, 1, 14, 160, 160), mask).shape == (1, 1, 14, 160, 160)


@pytest.mark.parametrize(("name", "cell"), [("synapse", (16, 32, 32)), ("tumour", (32, 32, 32))])
def test_published_geometries_hide_bottleneck_tokens(name, cell):
    with torch.device("meta"):
        net = NNFormerMAE(getattr(NNFormer, name)(drop_path=0.0))
    assert net.cell_size == cell
    net.check_patch([4 * n for n in cell])


@MODES
def test_the_pretrained_encoder_moves_into_the_segmentation_network(mode, tmp_path):
    net, target = small(mode, dtype=torch.float32), NNFormer(1, 5, **SMALL)
    torch.save({"model": net.state_dict()}, tmp_path / "model.pt")
    before = {k: v.clone() for k, v in target.decoder.state_dict().items()}
    transfer_weights(target, tmp_path / "model.pt")
    ours, theirs = target.encoder.state_dict(), net.encoder.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
    assert all(torch.equal(before[k], v) for k, v in target.decoder.state_dict().items())


@MODES
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_step_in_mixed_precision_is_close_to_float32(device, dtype, mode):
    net, (image, mask) = small(mode, torch.float32).to(device), batch(torch.float32)
    image, mask = image.to(device), mask.to(device)
    exact = MaskedMSELoss()(net(image, mask), (image, mask))
    with mixed(device, dtype):
        loss = MaskedMSELoss()(net(image, mask), (image, mask))
    loss.backward()
    assert loss.item() == pytest.approx(exact.item(), rel=0.02)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@MODES
def test_checkpointing_gives_equal_gradients(mode):
    grads = []
    for checkpointing in (False, True):
        net, (image, mask) = small(mode, network={"checkpointing": checkpointing}), batch()
        MaskedMSELoss()(net(image, mask), (image, mask)).backward()
        grads.append([p.grad for p in net.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_cost_of_the_encoder_falls_with_what_is_hidden():
    """Tumour geometry at 75 %; the published sizes differ in width alone."""
    net = NNFormerMAE(NNFormer.tumour(1, embed_dim=24, drop_path=0.0), **LIGHT)
    image, mask = torch.randn(1, 1, 128, 128, 128), (torch.arange(64) % 4 > 0).view(1, 1, 4, 4, 4)
    flops = []
    for encode in (lambda: net.encode(image, mask), lambda: net.encoder(image)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            encode()
        flops.append(counter.get_total_flops())
    assert flops[0] / flops[1] < 0.3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small("other"), "sparse, dense"),
        (lambda: small(decoder_dim=16), "multiple of 6"),
        (lambda: small(cell_size=(8, 16, 16)), "cuts tokens"),
        (lambda: small(cell_size=(16, 16)), "voxels per axis"),
        (lambda: small("dense", cell_size=(3, 16, 16)), "multiples of a token"),
        (lambda: small(network={"windows": (3, 4, 4, 2)}), "cuts tokens or windows"),
        (lambda: NNFormerMAE(NNFormer.acdc(embed_dim=24)), "dense"),
        (lambda: small().check_patch((64, 64, 64)), "windows as large as the grid"),
        (lambda: small().check_patch((32, 32, 40)), "nearest size"),
        (lambda: small(cell_size=(32, 32, 48)).check_patch(SIZE), "cells"),
        (lambda: small()(batch()[0], torch.ones(2, 1, 2, 2, 1, dtype=torch.bool)), "the mask is"),
        (lambda: small().encode(batch()[0], torch.ones(2, 1, 2, 2, 2, dtype=torch.bool)), "at least one cell"),
        (lambda: small()(batch()[0], (torch.arange(16) > 2).view(2, 1, 2, 2, 2)), "equally many"),
    ],
)
def test_what_cannot_work_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_where_nothing_is_visible_the_guess_does_not_depend_on_the_image():
    net, (image, mask) = small(), batch()
    hidden = torch.ones_like(mask)
    assert torch.equal(net(image, hidden), net(torch.randn_like(image), hidden))
