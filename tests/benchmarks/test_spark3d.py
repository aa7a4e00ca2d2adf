import json

import pytest
import torch

from benchmarks.pairs import against, alternate, wait
from benchmarks.spark3d import main


def test_rounds_alternate_and_the_first_does_not_count():
    order = []
    seconds = alternate({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=2, device="cpu")
    assert order == ["a", "b"] * 3
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_the_device_that_computes_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *device: waited.append(device))
    wait("cuda:1")
    wait("cpu")
    assert waited == [("cuda:1",)]


def test_ratios_are_those_of_the_rounds():
    found = against([4.0, 8.0, 9.0], [2.0, 2.0, 3.0])
    assert found == {"seconds": 2.0, "reference_seconds": 8.0, "times_faster": 3.0, "range": [2.0, 4.0]}


@pytest.mark.slow
def test_a_small_run_writes_all_it_measured(tmp_path, capsys):
    main(str(tmp_path / "found.json"), size=64, width=1 / 16, ratios=(0.75,), repeats=1, peers=True)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["encoder"]["0.75"]["seconds"] > 0 and found["step"]["0.75"]["times_faster"] > 0
    assert list(found["step"]) == ["0.75", "plain ResEnc U-Net", "MONAI MaskedAutoEncoderViT"]
    assert 0 < found["peak_memory_mib"]["0.75"] < found["peak_memory_mib"]["dense"]
    table = capsys.readouterr().out
    assert "| peak memory | 75% |" in table and "| step, MONAI MaskedAutoEncoderViT | - |" in table
