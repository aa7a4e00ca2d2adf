import itertools

import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer

from scripts.errors import InputError
from scripts.inferers import MirroredSlidingWindowInferer, mirrored
from scripts.inferers.fitting import windows_that_fit


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv3d(1, 3, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv3d(3, 2, 3, padding=1)
    )


@pytest.mark.parametrize("axes", [(), (0,), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("size", [(8, 8, 8), (13, 9, 8)])
@torch.no_grad()
def test_mirroring_is_the_mean_over_explicit_flips(network, axes, size):
    image = torch.randn(2, 1, *size)
    options = {"roi_size": (8, 8, 8), "sw_batch_size": 3, "overlap": 0.5, "mode": "gaussian"}
    flips = [f for n in range(len(axes) + 1) for f in itertools.combinations([a + 2 for a in axes], n)]
    assert len(flips) == 2 ** len(axes)

    def mirrored(window):
        return torch.stack([torch.flip(network(torch.flip(window, flip)), flip) for flip in flips]).mean(dim=0)

    result = MirroredSlidingWindowInferer(mirror_axes=axes, **options)(image, network)
    torch.testing.assert_close(result, SlidingWindowInferer(**options)(image, mirrored), atol=1e-5, rtol=1e-5)
    if size == (8, 8, 8):
        torch.testing.assert_close(result, mirrored(image), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("axes", [[-1], [0, 0], [3], [1.0], ["0"], 0, "01", None])
def test_anything_but_different_axes_is_refused(axes):
    with pytest.raises(InputError, match=r"mirror_axes is .*: give a list of different axes from 0 to 2"):
        MirroredSlidingWindowInferer(mirror_axes=axes, roi_size=(8, 8, 8))
    with pytest.raises(InputError, match="from 0 to 1"):
        MirroredSlidingWindowInferer(mirror_axes=[2], roi_size=(8, 8))


@torch.no_grad()
def test_a_mirrored_image_gives_the_mirrored_prediction(network):
    image = torch.randn(1, 1, 8, 8, 8)
    inferer = MirroredSlidingWindowInferer(mirror_axes=(0, 1, 2), roi_size=(8, 8, 8))
    torch.testing.assert_close(inferer(image.flip(2, 4), network), inferer(image, network).flip(2, 4))


@pytest.mark.parametrize("mode", ["gaussian", "constant"])
@pytest.mark.parametrize("value", [0.0, -1.25])
@torch.no_grad()
def test_windows_of_air_are_predicted_once_and_nothing_changes(network, mode, value):
    image = torch.full((2, 1, 24, 16, 20), value)
    image[0, :, 3:7, 3:7, 12:] = torch.randn(1, 4, 4, 8)
    image[1, :, 20:, 4:12, 1:3] = torch.randn(1, 4, 8, 2)
    seen = []

    def counted(windows):
        seen.extend(windows)
        return network(windows)

    options = {"roi_size": (8, 8, 8), "sw_batch_size": 3, "overlap": 0.5, "mode": mode}
    result = MirroredSlidingWindowInferer(**options)(image, counted)
    torch.testing.assert_close(result, SlidingWindowInferer(**options)(image, network), atol=1e-5, rtol=1e-5)
    assert sum(int((window == value).all()) for window in seen) == 2  # one per sample, of 5 * 3 * 4 windows each
    assert len(seen) < 50


@torch.no_grad()
def test_air_of_other_values_is_predicted_for_each():
    """Two channels, of which one tells the windows apart."""
    image = torch.zeros(1, 2, 16, 8, 8)
    image[:, 1, 8:] = 3
    result = MirroredSlidingWindowInferer(roi_size=(8, 8, 8), overlap=0)(image, lambda x: x * 2)
    assert torch.equal(result, image * 2)


@torch.no_grad()
def test_large_logits_are_half_as_large(network):
    image = torch.randn(1, 1, 16, 12, 10)
    options = {"roi_size": (8, 8, 8), "overlap": 0.5, "mode": "gaussian"}
    half = MirroredSlidingWindowInferer(half_above_gib=0, **options)(image, network)
    single = MirroredSlidingWindowInferer(**options)(image, network)
    assert half.dtype == torch.float16 and single.dtype == torch.float32
    torch.testing.assert_close(half.float(), single, atol=3e-3, rtol=3e-3)


@torch.no_grad()
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(), RuntimeError("GET was unable to find an engine to execute this computation")]
)
def test_where_memory_does_not_suffice_fewer_windows_go_at_once(network, error):
    image, sizes = torch.randn(1, 1, 16, 16, 16), []

    def small(windows):
        sizes.append(len(windows))
        if len(windows) > 2:
            raise error
        return network(windows)

    options = {"roi_size": (8, 8, 8), "overlap": 0.5, "mode": "gaussian"}
    result = MirroredSlidingWindowInferer(sw_batch_size=9, **options)(image, small)
    torch.testing.assert_close(result, SlidingWindowInferer(**options)(image, network), atol=1e-5, rtol=1e-5)
    assert sizes[:3] == [9, 4, 2] and set(sizes[3:]) <= {1, 2}

    def none(windows):
        raise error

    with pytest.raises(type(error)):
        MirroredSlidingWindowInferer(**options)(image, none)


@torch.no_grad()
def test_other_errors_are_not_taken_for_a_lack_of_memory(network):
    def broken(windows):
        raise RuntimeError("of another kind")

    with pytest.raises(RuntimeError, match="of another kind"):
        MirroredSlidingWindowInferer(roi_size=(8, 8, 8), sw_batch_size=4)(torch.randn(1, 1, 16, 16, 16), broken)


@torch.no_grad()
def test_logits_that_do_not_fit_are_kept_on_the_cpu(network, monkeypatch, caplog):
    image, zeros = torch.randn(1, 1, 12, 8, 8), torch.zeros
    inferer = MirroredSlidingWindowInferer(roi_size=(8, 8, 8))
    expected = inferer(image, network)

    def full(*args, **options):
        if "dtype" in options and "device" in options:
            raise torch.OutOfMemoryError
        return zeros(*args, **options)

    monkeypatch.setattr(torch, "zeros", full)
    assert torch.equal(inferer(image, network), expected) and "kept on the CPU" in caplog.text


@torch.no_grad()
def test_what_monai_knows_of_the_image_stays(network):
    image = MetaTensor(torch.randn(1, 1, 8, 8, 9), affine=torch.diag(torch.tensor([2.0, 1, 1, 1])))
    result = MirroredSlidingWindowInferer(roi_size=(8, 8, 8))(image, network)
    assert isinstance(result, MetaTensor) and torch.equal(result.affine, image.affine) and result.shape[1] == 2


@torch.no_grad()
def test_slices_work_as_well():
    network = torch.nn.Conv2d(1, 2, 3, padding=1)
    image, options = torch.randn(1, 1, 20, 7), {"roi_size": (8, 8), "overlap": 0.25, "mode": "gaussian"}
    result = MirroredSlidingWindowInferer(**options)(image, network)
    torch.testing.assert_close(result, SlidingWindowInferer(**options)(image, network), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("need", "free", "fit"), [(10, 59, 2), (10, 5, 1), (10, 10**6, 8), (0, 100, 8)])
def test_half_of_the_free_memory_is_taken(need, free, fit):
    assert windows_that_fit(need, free) == fit


@pytest.mark.parametrize("fit", [1, 3])
def test_the_first_window_decides_how_many_go_at_once(network, monkeypatch, fit):
    sizes, image = [], torch.randn(1, 1, 20, 8, 8)

    def counted(batch):
        sizes.append(len(batch))
        return network(batch)

    options = {"roi_size": (8, 8, 8), "overlap": 0.5, "mode": "gaussian"}
    expected = MirroredSlidingWindowInferer(**options)(image, network)
    monkeypatch.setattr(mirrored, "watch", lambda device: lambda: fit)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    found = MirroredSlidingWindowInferer(**options)(image, counted)
    assert sizes == ([1, 1, 1, 1] if fit == 1 else [1, 3]) and torch.allclose(found, expected, atol=1e-6)


@pytest.mark.gpu
def test_a_gpu_chooses_its_windows_and_nothing_changes(network):
    image, net = torch.randn(1, 1, 40, 16, 16, device="cuda"), network.cuda()
    options = {"roi_size": (8, 8, 8), "overlap": 0.5, "mode": "gaussian"}
    one, chosen = (MirroredSlidingWindowInferer(sw_batch_size=n, **options)(image, net) for n in (1, None))
    assert torch.allclose(one, chosen, atol=1e-4)
