"""The whole network: published sizes, an independent one, what it refuses, precision, export."""

import onnxruntime
import pytest
import torch
from monai.networks.utils import convert_to_onnx

from scripts.errors import InputError
from scripts.networks import NNFormer
from tests.mixed_precision import mixed
from tests.networks.nnformer import naive
from tools.project import ROOT
from tools.render.card import read_card

SMALL = {"embed_dim": 8, "num_heads": (1, 2, 4, 8), "windows": (2, 2, 2, 1), "stem_strides": ((2, 2, 2), (1, 1, 1))}
ODD = {
    "embed_dim": 8,
    "num_heads": (1, 2, 4, 8),
    "stem_strides": ((1, 2, 2), (1, 1, 1)),
    "windows": ((2, 3, 3), (2, 2, 2), (3, 2, 2), (1, 1, 1)),
    "down_strides": ((1, 2, 2), 2, 2),
    "down_paddings": ((0, 1, 1), 1, (0, 1, 1)),
    "decoder_heads": (2, 4, 8),
}


def small(in_channels=1, out_channels=3, dtype=torch.float32, **settings):
    torch.manual_seed(0)
    return NNFormer(in_channels, out_channels, **{**SMALL, "drop_path": 0.0, **settings}).to(dtype)


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("name", "total", "encoder", "size", "grids"),
    [
        ("synapse", 150_054_210, 119_045_772, (64, 128, 128), [(32,) * 3, (16,) * 3, (8,) * 3, (4,) * 3]),
        ("tumour", 37_606_726, 29_839_734, (128, 128, 128), [(32,) * 3, (16,) * 3, (8,) * 3, (4,) * 3]),
        ("acdc", 37_160_200, 29_539_794, (14, 160, 160), [(14, 40, 40), (14, 20, 20), (7, 10, 10), (3, 5, 5)]),
    ],
)
def test_published_networks(name, total, encoder, size, grids):
    with torch.device("meta"):
        net, ours = getattr(NNFormer, name)(quirks=True), getattr(NNFormer, name)()
    assert (count(net), count(net.encoder)) == (total, encoder)
    assert count(ours.encoder) == encoder
    net.check_patch(size)
    assert net.geometry.grids(size) == grids
    assert NNFormer(**{k: v for k, v in net.settings.items() if k != "name"}).settings == net.settings


@pytest.mark.parametrize("name", ["synapse", "acdc", "tumour"])
def test_model_card_states_the_parameters(name):
    with torch.device("meta"):
        net, ours = getattr(NNFormer, name)(quirks=True), getattr(NNFormer, name)()
    trained = sum(p.numel() for p in ours.parameters() if p.requires_grad)
    row = next(r for r in read_card("nnformer_mae_pretrain", ROOT)["docs"]["published"] if name in r["Here"])
    stated = [row[key] for key in ("Parameters, official", "Encoder", "Trained here")]
    assert stated == [f"{n:,}" for n in (count(net), count(net.encoder), trained)]


@pytest.mark.parametrize("quirks", [False, True])
@pytest.mark.parametrize(("settings", "size"), [(SMALL, (16, 16, 16)), (ODD, (6, 16, 16))], ids=["even", "odd"])
def test_network_equals_one_written_token_by_token(settings, size, quirks):
    net = small(dtype=torch.float64, **{**settings, "quirks": quirks}).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    image = torch.randn(1, 1, *size).double()
    expected, skips = naive.network(naive.to_official(net), image[0], net.settings, quirks=quirks)
    with torch.no_grad():
        features = net.encoder(image)
        for found, skip in zip(features, skips, strict=True):
            assert (found[0] - skip).abs().max() < 1e-8
        assert (net(image)[0] - expected).abs().max() < 1e-8


def test_deep_supervision_while_training_only():
    net = small(deep_supervision=True)
    image = torch.randn(1, 1, 16, 16, 16)
    assert [tuple(o.shape) for o in net(image)] == [(1, 3, n, n, n) for n in (16, 8, 4)]
    assert net.eval()(image).shape == (1, 3, 16, 16, 16)
    small().load_state_dict(net.state_dict())


@pytest.mark.parametrize("deep_supervision", [False, True])
def test_every_trained_parameter_gets_a_gradient(deep_supervision):
    net = small(deep_supervision=deep_supervision, windows=(2, 2, 2, 2))
    outputs = net(torch.randn(1, 1, 32, 32, 32))
    sum(o.square().mean() for o in (outputs if deep_supervision else [outputs])).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters() if p.requires_grad)
    assert deep_supervision == all(p.requires_grad for p in net.parameters())


def test_checkpointing_gives_equal_gradients():
    image = torch.randn(2, 1, 16, 16, 16).double()
    grads = []
    for checkpointing in (False, True):
        net = small(checkpointing=checkpointing, drop_path=0.3, dtype=torch.float64)
        torch.manual_seed(1)
        net(image).square().mean().backward()
        grads.append([p.grad for p in net.parameters() if p.requires_grad])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_mixed_precision_is_close_to_float32(device, dtype):
    net, image = small().to(device), torch.randn(1, 1, 16, 16, 16, device=device)
    exact = net(image)
    with mixed(device, dtype):
        found = net(image)
        loss = found.float().square().mean()
    loss.backward()
    assert found.dtype == dtype
    assert (found.float() - exact).abs().max() < 0.05 * exact.abs().max()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.requires_grad)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(("settings", "size"), [({}, (16, 16, 16)), (ODD, (6, 16, 16))], ids=["even", "odd"])
def test_a_trace_at_a_fixed_patch_takes_any_batch(tmp_path, settings, size):
    net = small(**settings).eval()
    torch.jit.trace(net, torch.randn(1, 1, *size)).save(tmp_path / "model.ts")
    image = torch.randn(2, 1, *size)
    assert (torch.jit.load(tmp_path / "model.ts")(image) - net(image)).abs().max() < 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_onnx_at_a_fixed_patch_gives_the_same(tmp_path):
    """Export as `monai.bundle onnx_export` does, run by onnxruntime; windows are shifted, padded and global."""
    net = small(num_heads=(1, 2), depths=(2, 1), windows=(3, 4), down_strides=(2,), deep_supervision=True).eval()
    convert_to_onnx(net, [torch.randn(1, 1, 16, 16, 16)], filename=tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    image = torch.randn(1, 1, 16, 16, 16)
    (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        assert abs(found - net(image).numpy()).max() < 1e-5


@pytest.mark.slow
def test_compiles_without_a_break():
    net = small(num_heads=(1, 2), depths=(2, 1), windows=(2, 3), down_strides=(2,)).eval()
    image = torch.randn(1, 1, 16, 16, 16)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    assert (compiled(image) - net(image)).abs().max() < 1e-5


def test_depth_of_each_parameter():
    net = small()
    layers = {name: net.layer_of(name) for name, _ in net.named_parameters()}
    assert set(layers.values()) == set(range(net.num_layers + 1)) and net.num_layers == 9
    for name, layer in layers.items():
        assert (layer == 0) == name.startswith(net.stem)
        assert layer == 9 or not name.startswith(("decoder.", "encoder.norms."))
    assert layers["encoder.stages.2.1.mlp.linear1.weight"] == layers["encoder.downs.2.conv.weight"] == 6
    assert len(net.no_weight_decay) == 14 and set(net.no_weight_decay) <= set(layers)


def test_drop_path_rises_with_depth_and_in_the_decoder_towards_full_resolution():
    net = small(drop_path=0.2)
    encoder = [block.drop_path.drop_prob for stage in net.encoder.stages for block in stage]
    decoder = [block.drop_path.drop_prob for stage in list(net.decoder.stages)[::-1] for block in stage]
    assert encoder == pytest.approx([0.2 * i / 7 for i in range(8)])
    assert decoder == pytest.approx([0.2 * i / 5 for i in range(6)])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: NNFormer.synapse(embed_dim=48).check_patch((63, 128, 128)), r"token.*\[64, 128, 128\]"),
        (lambda: NNFormer.synapse(embed_dim=48).check_patch((64, 120, 128)), r"even number.*\[64, 128, 128\]"),
        (lambda: NNFormer.synapse(embed_dim=48).check_patch((32, 128, 128)), r"window of 8.*\[64, 128, 128\]"),
        (lambda: NNFormer.acdc(embed_dim=24).check_patch((16, 160, 160)), r"odd number.*\[18, 160, 160\]"),
        (lambda: NNFormer.synapse(embed_dim=48).check_patch((128, 128)), "three numbers"),
        (lambda: small()(torch.zeros(1, 1, 12, 16, 16)), r"nearest size that fits is \[16, 16, 16\]"),
        (lambda: small(windows=(2, 2, 2)), "a window per stage"),
        (lambda: small(windows=((2, 2), 2, 2, 1)), "2 numbers"),
        (lambda: small(depths=(2, 2, 2)), "one per stage"),
        (lambda: small(num_heads=(3, 2, 4, 8)), "multiple of its heads"),
        (lambda: small(down_strides=(2, 2, 3)), "strides are 1 or 2"),
        (lambda: small(stem_strides=(2,)), "two strides"),
        (lambda: small(down_paddings=(1, 1, 1), down_strides=(2, 2, 1)), "the padding is 1 or"),
        (lambda: small(windows=(2, 2, 0, 1)), "1 or more"),
        (lambda: small(drop_path=1.5), "drop_path"),
        (lambda: small(quirks="false"), "write True or False"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize("name", ["synapse", "acdc", "tumour"])
def test_the_nearest_size_fits_and_none_is_nearer(name):
    geometry = getattr(NNFormer, name)(embed_dim=48).geometry
    for n in (1, 15, 100, 161):
        near = geometry.nearest((n, n, n))
        geometry.check_patch(near)
        for axis in range(3):
            others = [m for m in range(1, 400) if geometry._misfit(m, axis) is None]
            assert abs(near[axis] - n) == min(abs(m - n) for m in others)
