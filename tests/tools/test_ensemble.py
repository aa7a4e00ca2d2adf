from __future__ import annotations

import logging

import pytest
import torch

from scripts.checkpoints import networks_in, read_checkpoint, transfer_weights
from scripts.errors import InputError
from tests.tools.test_average import network, saved
from tools.ensemble import ensemble


def test_all_networks_are_in_the_file_in_their_order(tmp_path):
    trained = [network(0), network(1), network(2)]
    paths = saved(tmp_path, *trained)
    ensemble(str(tmp_path / "two.pt"), *paths[:2])
    ensemble(str(tmp_path / "all.pt"), str(tmp_path / "two.pt"), paths[2])
    content = torch.load(tmp_path / "all.pt", weights_only=True)
    assert content["plan"] == {"steps": 4, "pretrained": "pre.pt"}
    for state, one in zip(networks_in(content), trained, strict=True):
        assert state.keys() == one.state_dict().keys()
        assert all(torch.equal(state[name], tensor) for name, tensor in one.state_dict().items())


def test_half_precision_halves_the_file(tmp_path):
    paths = saved(tmp_path, network(0, (8, 16)), network(1, (8, 16)))
    ensemble(str(tmp_path / "half.pt"), *paths, half=True)
    states = networks_in(read_checkpoint(tmp_path / "half.pt"))
    assert {tensor.dtype for state in states for tensor in state.values()} == {torch.float16}
    assert (tmp_path / "half.pt").stat().st_size < 1.2 * (tmp_path / "0.pt").stat().st_size


def test_fine_tuning_starts_from_the_first_and_says_so(tmp_path, caplog):
    paths = saved(tmp_path, network(0), network(1))
    ensemble(str(tmp_path / "both.pt"), *paths)
    with caplog.at_level(logging.INFO):
        found = transfer_weights(network(2), tmp_path / "both.pt")
    assert "holds 2 networks that decide together: the first is taken" in caplog.text
    assert torch.equal(next(found.encoder.parameters()), next(network(0).encoder.parameters()))


def test_bad_input_is_refused(tmp_path):
    paths = saved(tmp_path, network(0), network(0, (4, 16)))
    first = torch.load(paths[0], weights_only=True)
    told = {"classes": {"spleen": 1}, "network": {"num_heads": 4, "skips": [2]}}
    plans = {"liver": {"classes": {"liver": 1}}, "heads": {"network": {"num_heads": 2}}, "told": told}
    for name, plan in {**plans, "skips": {"network": {"skips": [1]}}}.items():
        torch.save(first | {"plan": plan}, tmp_path / f"{name}.pt")
    for given, message in (
        (paths, "another network"),
        ([str(tmp_path / "told.pt"), paths[0], str(tmp_path / "liver.pt")], "another network"),
        ([paths[0], str(tmp_path / "told.pt"), str(tmp_path / "heads.pt")], "another network"),
        ([str(tmp_path / "told.pt"), str(tmp_path / "skips.pt")], "another network"),
        (paths[:1], "one network cannot"),
        ([], "no checkpoints"),
    ):
        with pytest.raises(InputError, match=message):
            ensemble(str(tmp_path / "out.pt"), *given)
    assert not (tmp_path / "out.pt").exists()
    before = (tmp_path / "0.pt").read_bytes()
    with pytest.raises(InputError, match="exists"):
        ensemble(paths[0], *paths)
    assert (tmp_path / "0.pt").read_bytes() == before
