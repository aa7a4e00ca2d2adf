"""Computing visible cells alone gives what computing everything and masking it gives."""

import pytest
import torch
from monai.data import MetaTensor

from scripts.losses import MaskedMSELoss
from scripts.networks import ResEncUNet, Spark3D
from scripts.networks.block_sparse import Cells, decoder, encode_cells, upsampling
from scripts.networks.block_sparse.sums import add_constant_and_cells, constant_size
from scripts.networks.sparse import encode_visible
from scripts.pretraining.masks import expand_mask
from tests.mixed_precision import mixed

PLAIN = {"strides": (1, 2, 2, 2), "size": (16, 24, 16)}
CASES = {
    "cells of the bottleneck": PLAIN,
    "image not masked": {**PLAIN, "mask_input": False},
    "large cells": {**PLAIN, "cell_size": (16, 8, 8)},
    "cells finer than the bottleneck": {**PLAIN, "cell_size": (4, 4, 4), "mask_input": False},
    "flat strides": {"strides": (1, (1, 2, 2), 2, 2), "size": (16, 24, 16), "cell_size": (8, 8, 8)},
    "flat cells": {"strides": (1, 2, (1, 2, 2)), "size": (8, 16, 16), "cell_size": (2, 4, 8)},
    "stride of three": {"strides": (1, 3, 2), "size": (12, 18, 12)},
    "no tokens": {**PLAIN, "tokens": False},
    "tokens alone": {**PLAIN, "densify": False},
    "neither": {**PLAIN, "tokens": False, "densify": False},
    "checkpointing": {**PLAIN, "checkpointing": True},
    "lean decoder": {**PLAIN, "decoder": "lean"},
    "lean decoder without tokens": {**PLAIN, "tokens": False, "densify": False, "decoder": "lean"},
    "lean decoder, flat strides": {"strides": (1, (1, 2, 2), 2), "size": (8, 16, 16), "decoder": "lean"},
}


def case(strides, size, visible=(5, 2), dtype=torch.double, **options):
    """A network and a batch whose samples show different numbers of cells."""
    torch.manual_seed(0)
    stages = {"features": (4, 6, 8, 8)[: len(strides)], "num_blocks": (1, 2, 1, 1)[: len(strides)]}
    net = Spark3D(ResEncUNet(2, 2, weight_init="default", strides=strides, **stages), **options).to(dtype)
    mask = torch.ones(len(visible), 1, *(n // c for n, c in zip(size, net.cell_size, strict=True)), dtype=torch.bool)
    for sample, count in zip(mask, visible, strict=True):
        sample.view(-1)[torch.randperm(sample.numel())[:count]] = False
    return net, torch.randn(len(visible), 2, *size, dtype=dtype), mask


def step(net, execution, image, mask):
    net.execution = execution
    net.zero_grad()
    image = image.clone().requires_grad_()
    prediction = net(image, mask)
    MaskedMSELoss()(prediction, (image.detach(), mask)).backward()
    gradients = {name: p.grad.clone() for name, p in net.named_parameters() if p.requires_grad}
    return prediction.detach(), image.grad, gradients


@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_prediction_and_gradients_equal_the_dense_ones(options):
    net, image, mask = case(**options)
    if options.get("cell_size") == (16, 8, 8):
        mask[0, :, :, 0, 0] = True
    dense, sparse = step(net, "dense", image, mask), step(net, "auto", image, mask)
    assert (dense[0] - sparse[0]).abs().max() < 1e-12
    assert (dense[1] - sparse[1]).abs().max() < 1e-12 * dense[1].abs().max()
    for name, expected in dense[2].items():
        # a bias before a norm moves nothing: its gradient is rounding
        scale = expected.abs().max() if expected.abs().max() > 1e-10 else 1
        assert (expected - sparse[2][name]).abs().max() < 1e-11 * scale, name


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("name", ["cells of the bottleneck", "flat strides", "stride of three", "no tokens", "neither"])
def test_each_way_through_the_decoder_is_exact(monkeypatch, name, always):
    monkeypatch.setattr(decoder, "_pays", lambda features, filling, where: always)
    monkeypatch.setattr(upsampling, "_pays", lambda features, up, weight: always)
    test_prediction_and_gradients_equal_the_dense_ones(CASES[name])


@pytest.mark.parametrize("visible", [(0, 3), (12, 1), (1,), (0, 0)])
def test_samples_that_show_nothing_everything_or_one_cell(visible):
    net, image, mask = case(**PLAIN, visible=visible)
    net.execution = "dense"
    expected = net(image, mask)
    net.execution = "auto"
    found = net(image, mask)
    assert (found - expected).abs().max() < 1e-12
    found.sum().backward()
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)


def encoded(net, image, mask):
    where = Cells(mask)
    return [where.scatter(cells) for cells in encode_cells(net.network.encoder, image, where, len(net.strides))]


def test_features_equal_the_dense_ones_and_are_zero_on_hidden_voxels():
    net, image, mask = case(**PLAIN)
    visible = net.visible_voxels(mask, image.shape[2:])
    found = encoded(net, image, mask)
    for features, expected, seen in zip(
        found, encode_visible(net.network.encoder, image, visible), visible, strict=True
    ):
        assert (features - expected).abs().max() < 1e-12
        assert (features[~seen.expand_as(features)] == 0).all() and (features[seen.expand_as(features)] != 0).any()


def test_changing_hidden_voxels_leaves_the_encoder_bit_identical():
    net, image, mask = case(**PLAIN, dtype=torch.float)
    hidden = expand_mask(mask, image.shape[2:])
    changed = torch.where(hidden, torch.randn_like(image) * 100, image)
    assert all(
        torch.equal(a, b) for a, b in zip(*(encoded(net, x * ~hidden, mask) for x in (image, changed)), strict=True)
    )
    assert torch.equal(net(image, mask), net(changed, mask))


def test_every_trained_parameter_gets_a_gradient_where_stages_are_unmasked_too():
    net, image, mask = case(**CASES["cells finer than the bottleneck"])
    net(image, mask).sum().backward()
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)


@pytest.mark.parametrize("execution", ["dense", "auto"])
def test_channels_last_order_gives_the_same(execution):
    net, image, mask = case(**PLAIN)
    expected = step(net, "dense", image, mask)
    order = {"memory_format": torch.channels_last_3d}
    found = step(net.to(**order), execution, image.contiguous(**order), mask)
    assert (found[0] - expected[0]).abs().max() < 1e-12
    for name, gradient in expected[2].items():
        scale = gradient.abs().max() if gradient.abs().max() > 1e-10 else 1
        assert (gradient - found[2][name]).abs().max() < 1e-11 * scale, name


def test_deep_supervision_predicts_at_all_levels():
    net, image, mask = case(**PLAIN)
    net.network = ResEncUNet(2, 2, (4, 6, 8, 8), (1, 2, 1, 1), (1, 2, 2, 2), deep_supervision=True).double()
    found = net(image, mask)
    net.execution = "dense"
    assert all((a - b).abs().max() < 1e-12 for a, b in zip(found, net(image, mask), strict=True))


def test_a_dropped_channel_is_dropped_in_all_cells_of_a_sample():
    net, image, mask = case(**PLAIN)
    outputs = []
    for execution in ("dense", "auto"):
        net.network = ResEncUNet(2, 2, (4, 6, 8, 8), (1, 2, 1, 1), (1, 2, 2, 2), dropout=0.5).double()
        torch.manual_seed(1)
        net.network.load_state_dict({k: torch.randn_like(v) for k, v in net.network.state_dict().items()})
        net.execution = execution
        outputs.append(net(image, mask))
    assert (outputs[0] - outputs[1]).abs().max() < 1e-10


def test_an_image_with_metadata_gives_the_same():
    net, image, mask = case(**PLAIN)
    assert torch.equal(net(MetaTensor(image), mask), net(image, mask))


def test_another_activation_is_kept():
    net, image, mask = case(**PLAIN)
    for block in [b for stage in net.network.encoder.stages for b in stage.blocks]:
        block.nonlin2 = torch.nn.SiLU()
    dense, sparse = step(net, "dense", image, mask), step(net, "auto", image, mask)
    assert (dense[0] - sparse[0]).abs().max() < 1e-12


def test_the_execution_is_no_part_of_the_state():
    net, *_ = case(**PLAIN)
    dense, *_ = case(**PLAIN, execution="dense", checkpointing=True)
    assert list(net.state_dict()) == list(dense.state_dict())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_step_in_mixed_precision_is_close_to_float32(device, dtype):
    net, image, mask = case(**PLAIN, dtype=torch.float)
    net, image, mask = net.to(device), image.to(device), mask.to(device)
    exact, _, exact_gradients = step(net, "dense", image, mask)
    with mixed(device, dtype):
        dense, sparse = step(net, "dense", image, mask), step(net, "auto", image, mask)
    assert (sparse[0] - exact).norm() < 0.05 * exact.norm()
    # of single parameters a few are far off either way, where a rounded value changes sides of an activation
    errors = [distance(gradients, exact_gradients) for _, _, gradients in (dense, sparse)]
    assert errors[0] < 0.3 and errors[1] < 2 * errors[0]


def distance(gradients, exact):
    """How far gradients are from exact ones, relative to these."""
    pairs = [torch.stack([gradients[name].flatten(), exact[name].flatten()]) for name in exact]
    found, wanted = torch.cat(pairs, dim=1)
    return float((found - wanted).norm() / wanted.norm())


def test_sums_over_a_side_of_the_volume_are_exact_in_mixed_precision():
    """In bfloat16 adding 396 gradients of one would stop at 256."""
    where, size = Cells(torch.tensor([[[[[False]]] * 50]])), (8, 8, 8)
    border = torch.zeros(1, *constant_size((400, 8, 8)), dtype=torch.bfloat16, requires_grad=True)
    volume, cells = torch.zeros(1, 1, 400, 8, 8, dtype=torch.bfloat16), torch.zeros(50, 1, 8, 8, 8).bfloat16()
    add_constant_and_cells(volume.requires_grad_().clone(), border, cells, where, size, 0).sum().backward()
    assert border.grad[0, 2, 0, 0] == 396


@pytest.mark.slow
def test_a_compiled_network_gives_the_same():
    net, image, mask = case(strides=(1, 2), size=(4, 4, 4), visible=(3,), dtype=torch.float)
    parameters = [p for p in net.parameters() if p.requires_grad]
    results = []
    for run in (net, torch.compile(net, backend="aot_eager")):
        prediction = run(image, mask)
        results.append([prediction, *torch.autograd.grad(prediction.square().sum(), parameters)])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"execution": "dense"}, {"sparse": False, "tokens": False, "densify": False}])
def test_checkpointing_keeps_less_in_every_form_and_changes_nothing(options):
    results, kept = [], []
    for checkpointing in (False, True):
        net, image, mask = case(**PLAIN, checkpointing=checkpointing, **options)
        held: dict[int, int] = {}

        def keep(tensor, held=held):
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            prediction = net(image, mask)
        prediction.square().sum().backward()
        kept.append(sum(held.values()))
        results.append([prediction, *(p.grad for p in net.parameters() if p.requires_grad)])
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-9)
    assert kept[1] < 0.6 * kept[0]


def test_a_trace_serves_other_masks_and_is_saved(tmp_path):
    net, image, mask = case(**PLAIN, dtype=torch.float)
    torch.jit.trace(net.eval(), (image, mask), check_trace=False).save(str(tmp_path / "traced.pt"))
    traced, other = torch.jit.load(str(tmp_path / "traced.pt")), mask.flip(0)
    with torch.no_grad():
        assert (traced(image, other) - net(image, other)).abs().max() < 1e-5
