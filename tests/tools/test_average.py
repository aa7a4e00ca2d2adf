from __future__ import annotations

import pytest
import torch

from scripts.checkpoints import load_weights
from scripts.errors import InputError
from scripts.networks import ResEncUNet
from tools.average import average


def network(seed: int, features: tuple[int, ...] = (4, 8)) -> ResEncUNet:
    torch.manual_seed(seed)
    return ResEncUNet(1, 3, features, (1, 1), (1, 2))


def saved(folder, *networks):
    paths = [str(folder / f"{number}.pt") for number in range(len(networks))]
    for path, one in zip(paths, networks, strict=True):
        torch.save({"model": one.state_dict(), "plan": {"steps": 4, "pretrained": "/home/someone/pre.pt"}}, path)
    return paths


def test_the_mean_loads_as_the_network_and_says_what_it_is(tmp_path):
    both = [network(0), network(1)]
    average(str(tmp_path / "mean.pt"), *saved(tmp_path, *both))
    content = torch.load(tmp_path / "mean.pt", weights_only=True)
    assert content["plan"] == {"steps": 4, "pretrained": "pre.pt", "averaged": 2}
    found = load_weights(network(2), tmp_path / "mean.pt")
    for mean, one, other in zip(found.parameters(), *(n.parameters() for n in both), strict=True):
        torch.testing.assert_close(mean, (one + other) / 2)


def test_half_precision_halves_the_file_and_computes_nearly_the_same(tmp_path):
    one = network(0, (8, 16))
    [path] = saved(tmp_path, one)
    average(str(tmp_path / "half.pt"), path, half=True)
    stored = torch.load(tmp_path / "half.pt", weights_only=True)["model"]
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert (tmp_path / "half.pt").stat().st_size < 0.6 * (tmp_path / "0.pt").stat().st_size
    found = load_weights(network(2, (8, 16)), tmp_path / "half.pt")
    image = torch.randn(1, 1, 16, 16, 16)
    expected = one(image).detach()
    assert found(image).dtype == torch.float32
    torch.testing.assert_close(found(image), expected, rtol=0, atol=5e-3 * float(expected.abs().max()))


def test_the_mean_may_be_mirrored_along_axes_that_all_were_trained_on(tmp_path):
    paths = saved(tmp_path, *(network(seed) for seed in range(3)))
    for path, axes in zip(paths[:2], ([0, 1], [2, 1]), strict=True):  # the third does not tell
        content = torch.load(path, weights_only=True)
        content["plan"]["flip_axes"] = axes
        torch.save(content, path)
    average(str(tmp_path / "mean.pt"), *paths)
    assert torch.load(tmp_path / "mean.pt", weights_only=True)["plan"]["flip_axes"] == [1]


def test_bad_input_is_refused(tmp_path):
    paths = saved(tmp_path, network(0), network(0, (4, 16)))
    with pytest.raises(InputError, match="another network"):
        average(str(tmp_path / "mean.pt"), *paths)
    with pytest.raises(InputError, match="no checkpoints"):
        average(str(tmp_path / "mean.pt"))
    assert not (tmp_path / "mean.pt").exists()
    before = (tmp_path / "0.pt").read_bytes()
    with pytest.raises(InputError, match="exists"):
        average(paths[0], paths[0])
    assert (tmp_path / "0.pt").read_bytes() == before
