"""Networks as ONNX and TorchScript, by MONAI's commands, give what they give here."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from pathlib import Path

import onnxruntime
import pytest
import torch
from monai.bundle import ConfigParser, ckpt_export, onnx_export, trt_export

from tools.project import ROOT

BUNDLES = {"hippocampus_segmentation": "resenc", "btcv_segmentation": "unetr", "chestxray14_classification": "vit"}


@pytest.mark.parametrize("name", BUNDLES, ids=BUNDLES.values())
def test_exports_equal_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(ROOT / "bundles" / name)
    files = ["configs/inference.json", "configs/tiny.json"]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    shape = [1, len(parser["channels"]), *parser["patch_size"]]
    torch.manual_seed(0)
    network = parser.get_parsed_content("network_def").eval()
    for parameter in network.parameters():  # what starts as zero, such as the last norm of a block, takes part too
        torch.nn.init.normal_(parameter, std=0.5)
    torch.save({"model": network.state_dict()}, tmp_path / "model.pt")
    image = torch.randn(shape)
    with torch.no_grad():
        expected = network(image)
    source = {"ckpt_file": str(tmp_path / "model.pt"), "key_in_ckpt": "model", "config_file": files}
    source |= {"meta_file": "configs/metadata.json", "input_shape": shape}
    onnx_export("network_def", str(tmp_path / "model.onnx"), **source)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    given = session.run(None, {session.get_inputs()[0].name: image.numpy()})[0]
    assert expected.std() > 0.02
    torch.testing.assert_close(torch.from_numpy(given), expected, rtol=1e-3, atol=1e-4)
    ckpt_export("network_def", str(tmp_path / "model.ts"), use_trace=True, **source)
    torch.testing.assert_close(torch.jit.load(tmp_path / "model.ts")(image), expected, rtol=1e-3, atol=1e-4)
    # as far as it goes here: the network is built and its weights are loaded
    with monkeypatch.context() as without, pytest.raises(Exception, match="Cannot find any GPU devices"):
        without.setattr(torch.cuda, "is_available", lambda: False)
        trt_export("network_def", str(tmp_path / "model_trt.ts"), use_trace=True, precision="fp16", **source)


@pytest.mark.parametrize("name", BUNDLES, ids=BUNDLES.values())
def test_the_model_card_tells_the_commands_with_the_bundles_size(name: str) -> None:
    bundle = ROOT / "bundles" / name
    inference = json.loads((bundle / "configs" / "inference.json").read_text())
    commands = re.findall(r"-m monai\.bundle (\w+_export.*?)\n```", (bundle / "docs/README.md").read_text(), re.S)
    functions = {function.__name__: function for function in (ckpt_export, onnx_export, trt_export)}
    words = [shlex.split(command.replace("\\\n", "")) for command in commands]
    assert [name for name, *_ in words] == list(functions)
    for name, *options in words:
        given = {key.removeprefix("--"): value for key, value in zip(options[::2], options[1::2], strict=True)}
        assert "override" not in inspect.signature(functions[name]).bind(**given).arguments  # all have a meaning
        assert given["net_id"] in inference
        assert given["input_shape"] == str([1, len(inference["channels"]), *inference["patch_size"]])
