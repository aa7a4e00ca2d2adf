"""The kernels for GPUs give what PyTorch gives; without a GPU Triton's interpreter runs them."""

import pytest
import torch
from monai.data import MetaTensor
from torch.utils._python_dispatch import TorchDispatchMode

from scripts.networks.block_sparse import Cells, halo, kernels, normalization, sums
from scripts.networks.block_sparse.halo import pad
from scripts.networks.block_sparse.normalization import normalize
from scripts.networks.block_sparse.sums import add_constant_and_cells, constant_size
from tests.networks.block_sparse.test_equality import CASES, case, step

triton = pytest.importorskip("triton", reason="Triton is there on Linux alone")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    if request.param != DEVICE:
        pytest.skip("the interpreter is for machines without a GPU")
    return request.param


@pytest.fixture
def use(monkeypatch):
    """Choose whether kernels compute."""

    def use(wanted):
        for module in (halo, normalization, sums):
            monkeypatch.setattr(module, "usable", lambda tensor: wanted)

    return use


@pytest.fixture(params=["few voxels", "many voxels"])
def few(request, monkeypatch):
    """On both sides of the limit below which one kernel normalises."""
    from scripts.networks.block_sparse.kernels import normalization

    if request.param == "many voxels":
        monkeypatch.setattr(normalization, "FEW", 0)
    return request.param == "few voxels"


def cells(where, channels, size, device, dtype=torch.float):
    torch.manual_seed(1)
    return torch.randn(where.num, channels, *size).to(device, dtype).contiguous(memory_format=torch.channels_last_3d)


def mask(device, visible=(5, 0, 2), grid=(3, 2, 3)):
    torch.manual_seed(0)
    hidden = torch.ones(len(visible), 1, *grid, dtype=torch.bool)
    for sample, count in zip(hidden, visible, strict=True):
        sample.view(-1)[torch.randperm(sample.numel())[:count]] = False
    return hidden.to(device)


def both(use, run):
    results = []
    for wanted in (False, True):
        use(wanted)
        results.append(run())
    return results


@pytest.mark.parametrize("low, high", [((1, 1, 1), (1, 1, 1)), ((1, 1, 1), (0, 0, 0)), ((0, 1, 2), (0, 2, 1))])
@pytest.mark.parametrize("channels", [3, 72])
def test_halos_are_the_same(device, use, low, high, channels):
    where = Cells(mask(device))
    features = cells(where, channels, (2, 3, 4), device)
    expected, found = both(use, lambda: pad(features, where, low, high))
    assert torch.equal(expected, found) and found.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("affine, slope, added", [(True, 0.01, False), (True, 0.01, True), (False, 1.0, False)])
def test_normalisation_equals_that_in_double_precision(device, use, few, whole, affine, slope, added):
    where = None if whole else Cells(mask(device))
    noise = cells(Cells(mask(device)), 70, (5, 6, 7), device)
    # far from zero, where plain squares would lose the variance, and none near the activation's kink
    values = (noise.sign() * (1 + noise.abs())) * 0.5 + 30

    def run(dtype):
        features, shortcut = (v.to(dtype, copy=True).requires_grad_() for v in (values, noise.flip(0).tanh() * 0.1))
        weight, bias = torch.linspace(0.5, 2, 70, device=device), torch.linspace(-0.1, 0.1, 70, device=device)
        weight, bias = weight.to(dtype).requires_grad_(), bias.to(dtype).requires_grad_()
        arguments, others = ((weight, bias), [weight, bias]) if affine else ((None, None), [])
        others += [shortcut] if added else []
        out = normalize(features, where, *arguments, slope=slope, shortcut=shortcut if added else None)
        weights = torch.linspace(0, 1, out.numel(), device=device, dtype=dtype).view_as(out)
        return [out, *torch.autograd.grad(out, [features, *others], weights)]

    use(False)
    expected = run(torch.double)
    use(True)
    for a, b in zip(expected, run(torch.float), strict=True):
        assert (a - b).abs().max() < 1e-4 * a.abs().max().clamp(min=1)


def backward(features, where, slope=0.01):
    """Return the activated sum of normalised features and ones, and all gradients."""
    channels = features.shape[1]
    inputs = [features, torch.ones_like(features), *(torch.ones(channels, device=features.device) for _ in range(2))]
    features, shortcut, weight, bias = (one.requires_grad_() for one in inputs)
    out = normalize(features, where, weight, bias, slope=slope, shortcut=shortcut)
    weights = torch.arange(out.numel(), device=out.device).view_as(out).to(out.dtype) % 7
    return [out, *torch.autograd.grad(out, inputs, weights)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_normalises_alike(device, use, few, dtype):
    where = Cells(mask(device))
    # without the activation, at whose kink rounding decides
    expected, found = both(use, lambda: backward(cells(where, 35, (2, 3, 4), device, dtype), where, slope=1.0))
    for a, b in zip(expected, found, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.02 * max(1, a.abs().max().item()))


def test_results_do_not_change_from_run_to_run_and_what_is_no_number_stays_none(device, use, few):
    use(True)
    where = Cells(mask(device, visible=(5, 3)))
    features = cells(where, 20, (3, 4, 5), device)
    features[-1, 4, 0, 0, 0] = torch.nan
    once, again = (backward(features.clone(), where) for _ in range(2))
    assert all(torch.equal(a.nan_to_num(9.0), b.nan_to_num(9.0)) for a, b in zip(once, again, strict=True))
    for values in once[:2]:
        assert values[5:, 4].isnan().all()
        assert values[:5].isfinite().all() and values[5:, 5:].isfinite().all()


@pytest.mark.parametrize("whole", [True, False])
def test_nothing_to_normalise_has_gradients_of_zero(device, use, whole):
    use(True)
    where = None if whole else Cells(mask(device, visible=(0, 0)))
    out, *gradients = backward(torch.zeros(0, 5, 2, 2, 2, device=device), where)
    assert out.shape == (0, 5, 2, 2, 2) and [g.abs().sum().item() for g in gradients] == [0] * 4


@pytest.mark.parametrize("whole", [True, False])
def test_a_norm_launches_one_kernel_each_way_for_few_voxels_and_three_for_many(device, use, few, whole, monkeypatch):
    """And no operator: what takes the time of a step on a GPU is launches."""
    launched, operators = [], set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            operators.add(operator.overloadpacket.__name__)
            return operator(*args, **(kwargs or {}))

    use(True)
    where = None if whole else Cells(mask(device))
    features = cells(Cells(mask(device)), 20, (2, 3, 4), device).requires_grad_()
    weight, bias = torch.ones(2, 20, device=device).requires_grad_()
    interface = triton.runtime.jit.KernelInterface
    monkeypatch.setattr(interface, "__getitem__", lambda *_: lambda *args, **sizes: launched.append(args))
    with Watch():
        out = normalize(features, where, weight, bias, shortcut=features)
        torch.autograd.grad(out, [features, weight, bias], torch.empty_like(features))
    assert len(launched) == (2 if few else 6)
    assert operators <= {"empty_like", "new_empty", "add"}, operators  # both gradients of the features


@pytest.mark.parametrize("size, margin", [((4, 5, 6), 2), ((2, 2, 3), 1), ((3, 3, 3), 1)])
def test_sums_are_the_same(device, use, size, margin):
    where = Cells(mask(device))
    whole = [n * c for n, c in zip(where.grid, size, strict=True)]
    terms = cells(where, 5, [n + 2 * margin for n in size], device)
    terms = terms * where.inside(size, margin)
    edge = torch.randn(5, *constant_size(whole), device=device)
    edge[(slice(None), *(n // 2 for n in edge.shape[1:]))] = 0

    def run():
        added, border = terms.clone().requires_grad_(), edge.clone().requires_grad_()
        volume = torch.ones(3, 5, *whole, device=device, requires_grad=True)
        out = add_constant_and_cells(volume * 1, border, added, where, size, margin)
        weights = torch.linspace(-1, 1, out.numel(), device=device).view_as(out)
        found = torch.autograd.grad(out, [volume, added, border], weights)
        found[2][(slice(None), *(n // 2 for n in border.shape[1:]))] = 0  # of the middle, which nobody reads
        return [out, *found]

    for expected, found in zip(*both(use, run), strict=True):
        assert (expected - found).abs().max() < 1e-5 * expected.abs().max().clamp(min=1)


@pytest.mark.parametrize("visible", [(5, 2), (0, 3), (0, 0)])
@pytest.mark.parametrize(
    "name", ["cells of the bottleneck", "flat strides", "stride of three", "no tokens", "checkpointing", "lean decoder"]
)
def test_prediction_and_gradients_equal_the_dense_ones(device, use, name, visible, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    net, image, hidden = case(**CASES[name], visible=visible, dtype=torch.float)
    net, image, hidden = net.to(device), image.to(device), hidden.to(device)
    use(True)
    dense, sparse = step(net, "dense", image, hidden), step(net, "auto", image, hidden)
    assert (dense[0] - sparse[0]).abs().max() < 1e-4
    for gradient, expected in dense[2].items():
        scale = expected.abs().max() if expected.abs().max() > 1e-5 else 1
        assert (expected - sparse[2][gradient]).abs().max() < 1e-3 * scale, gradient


def test_an_image_with_metadata_gives_the_same(device, use):
    net, image, hidden = case(**CASES["cells of the bottleneck"], dtype=torch.float)
    net, image, hidden = net.to(device), image.to(device), hidden.to(device)
    use(True)
    assert torch.equal(net(MetaTensor(image), hidden), net(image, hidden))


def test_an_outlier_first_costs_no_precision(device, use, few):
    values = torch.randn(1, 4, 16, 16, 16, generator=torch.Generator().manual_seed(0)).to(device)
    values[:, :, 0, 0, 0] = 300
    values = values.contiguous(memory_format=torch.channels_last_3d)
    use(False)
    expected = normalize(values.double(), None)
    use(True)
    assert (normalize(values, None) - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_sums_many_border_gradients(device, use, dtype):
    """200 gradients of 1000 exceed what float16 holds."""
    from scripts.networks.block_sparse.kernels.sums import _of_border

    gradient = torch.full((1, 2, 200, 8, 6), 1000.0, device=device, dtype=dtype)
    sums = _of_border(gradient, (5, 5, 5))
    # of the middle of the first axis, at the edge of both others
    assert sums[:, 2, 0, 0].tolist() == pytest.approx([196 * 1000] * 2, rel=0.01)
    assert sums.sum() == pytest.approx(2 * 200 * 8 * 6 * 1000, rel=0.01)


def test_a_cpu_and_double_precision_have_no_kernels():
    assert not kernels.usable(torch.zeros(1))
    assert not kernels.usable(torch.zeros(1, device="meta", dtype=torch.double))


def test_where_triton_works_kernels_are_used(device):
    kernels.works.cache_clear()
    assert kernels.works(torch.device(device))


def test_where_triton_cannot_build_pytorch_computes_and_a_warning_says_so(device, monkeypatch, caplog):
    def fail(device):
        raise FileNotFoundError("Python.h")

    kernels.works.cache_clear()
    monkeypatch.setattr("scripts.networks.block_sparse.kernels.probe.probe", fail)
    assert not kernels.works(torch.device(device))
    assert "FileNotFoundError: Python.h" in caplog.text and "C compiler" in caplog.text
    kernels.works.cache_clear()
