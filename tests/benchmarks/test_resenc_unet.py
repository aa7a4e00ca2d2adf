import json
import time

import torch
from torch import nn

from benchmarks import resenc_unet as benchmark
from benchmarks.resenc_unet import library_form, main
from scripts.networks import ResEncUNet
from scripts.networks.instance_norm import InstanceNorm


def test_a_small_run_writes_all_it_measured(tmp_path):
    main(str(tmp_path / "found.json"), networks=["compact"], size=(16, 16, 16), batch_size=1, repeats=1)
    found = json.loads((tmp_path / "found.json").read_text())
    for part in ("step", "inference"):
        for precision in ("float32", "mixed precision"):
            assert found[f"compact, {part}, {precision}"]["times_faster"] > 0


def test_the_first_call_takes_until_the_device_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "step", lambda *_, labels: None)
    monkeypatch.setattr(benchmark, "infer", lambda *_: None)
    monkeypatch.setattr(benchmark, "alternate", lambda forms, *_: dict.fromkeys(forms, [1.0]))
    monkeypatch.setattr(benchmark, "wait", lambda device: time.sleep(0.1))
    main(str(tmp_path / "found.json"), networks=["compact"], size=(8, 8, 8), batch_size=1)
    assert json.loads((tmp_path / "found.json").read_text())["compact, step, float32"]["first_seconds"] >= 0.1


def test_the_reference_is_the_library_s_network():
    ours = ResEncUNet(1, 2, features=(4, 8), num_blocks=(1, 1), strides=(1, 2))
    theirs = library_form(ours)
    assert any(isinstance(module, InstanceNorm) for module in ours.modules())
    library = (nn.InstanceNorm3d, nn.AvgPool3d)
    assert {type(module) for module in theirs.modules() if isinstance(module, library)} == set(library)
    assert all(weight.is_contiguous() for weight in theirs.parameters())
    image = torch.randn(2, 1, 8, 8, 8)
    torch.testing.assert_close(ours(image), theirs(image))
