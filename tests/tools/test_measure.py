import json
import subprocess
import sys

import pytest
import torch
from monai.bundle import ConfigParser
from torch.optim.optimizer import register_optimizer_step_post_hook

from scripts.errors import InputError
from tools.measure import main
from tools.memory import held, peak_bytes
from tools.project import ROOT
from tools.random_step import random_step


def report(capsys, *arguments, **options):
    main(*arguments, **options)
    return json.loads(capsys.readouterr().out)


# a pretraining, labels, regions, findings
@pytest.mark.parametrize(
    "bundle",
    ["spark3d_pretrain", "hippocampus_segmentation", "msd_braintumour_segmentation", "chestxray14_classification"],
)
def test_a_step_is_measured(capsys, bundle):
    found = report(capsys, bundle, preset="tiny", steps=3, batch_size=1)
    assert found["batch_size"] == 1 and found["steps"] == 3 and found["seconds_per_step"] > 0


@pytest.mark.parametrize(
    ("bundle", "preset", "optimizer"),
    [
        ("hippocampus_segmentation", "tiny", "AdamW"),
        ("spark3d_pretrain", "tiny", "SGD"),
        ("spark3d_pretrain", "compact+tiny", "AdamW"),
        ("chestxray14_classification", "tiny", "AdamW"),
    ],
)
def test_the_optimiser_is_that_of_the_training(capsys, bundle, preset, optimizer):
    used = []
    hook = register_optimizer_step_post_hook(lambda stepped, *_: used.append(stepped))
    report(capsys, bundle, preset=preset, steps=1, batch_size=1)
    hook.remove()
    assert {type(stepped).__name__ for stepped in used} == {optimizer}
    assert {group["name"] for group in used[0].param_groups} == {"stem", "encoder", "decoder"}


def test_the_memory_is_that_of_the_device_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "memory_allocated", {"cuda:1": 3}.__getitem__)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", {"cuda:1": 7}.__getitem__)
    assert (peak_bytes("cuda:1", now=True), peak_bytes("cuda:1")) == (3, 7)


def test_the_estimate_grows_with_the_batch_and_knows_the_published_size(capsys):
    one = report(capsys, "spark3d_pretrain", estimate=True, batch_size=1)
    two = report(capsys, "spark3d_pretrain", estimate=True, batch_size=2)
    assert one["parameters"] == two["parameters"] == 102_348_965 + 7_854_240
    assert two["activations_gib"] == pytest.approx(2 * one["activations_gib"], rel=0.05)
    assert one["weights_gradients_moments_gib"] == pytest.approx(one["parameters"] * 12 / 2**30, abs=0.01)


@pytest.mark.parametrize("bundle", sorted(path.parts[-3] for path in ROOT.glob("bundles/*/configs/train.json")))
def test_every_bundle_is_estimated(capsys, bundle):
    assert report(capsys, bundle, preset="tiny", estimate=True)["parameters"] > 0


def test_channels_left_out_are_not_drawn(capsys):
    options = {"preset": "tiny", "flops": True, "batch_size": 1}
    few, all_four = (
        report(capsys, "msd_braintumour_segmentation", **options, used_channels=used)["flops_per_step"]
        for used in ([0, 2], None)
    )
    assert few < all_four


@pytest.mark.parametrize(
    ("bundle", "preset"),
    [("spark3d_pretrain", "compact"), ("vit_mae_pretrain", "compact"), ("nnformer_mae_pretrain", "")],
)
def test_the_estimate_knows_that_hidden_cells_are_not_held(capsys, bundle, preset):
    options = {"preset": preset, "estimate": True, "memory": "40GB", "batch_size": 8}
    most, some, few = (report(capsys, bundle, **options, mask_ratio=r) for r in (0.25, [0.6, 0.9], 0.9))
    assert most["activations_gib"] > some["activations_gib"] > few["activations_gib"] > 0
    assert most["largest_batch"] < few["largest_batch"]
    options["batch_size"] = few["largest_batch"]
    assert report(capsys, bundle, **options, mask_ratio=0.9)["peak_memory_gib"] <= 40e9 / 2**30


def test_the_estimate_holds_what_a_step_on_values_holds():
    files = [ROOT / "bundles/spark3d_pretrain/configs" / f"{name}.json" for name in ("train", "tiny")]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    parser.update({"batch_size": 2, "mask_ratio": 0.6})
    parameters, activations = held(parser)
    parser.parse(reset=True)
    network, kept = parser.get_parsed_content("network_def"), {}
    (image, mask), target = random_step(parser, 0, "cpu")
    hooks = (lambda t: kept.setdefault(t.untyped_storage().data_ptr(), t), lambda t: t)
    with torch.autograd.graph.saved_tensors_hooks(*hooks):
        parser.get_parsed_content("loss")(network(image, mask), target)
    own = {p.data_ptr() for p in network.parameters()}
    real = sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in own)
    assert activations == pytest.approx(real, rel=0.1)


@pytest.mark.slow
def test_with_checkpointing_the_estimate_has_what_is_computed_again(tmp_path):
    """Without it, it would be three quarters of what is measured."""
    network = {"features": [32, 64, 128, 256], "num_blocks": [1, 3, 4, 6], "strides": [1, 2, 2, 2]}
    options = {f"network_def#network#{name}": value for name, value in network.items()}
    options |= {"network_def#cell_size": [16] * 3, "network_def#checkpointing": True, "mask_ratio": 0.6}
    options |= {"patch_size": [64] * 3, "batch_size": 2}
    peaks = []
    for how in ({"estimate": True}, {"steps": 1}):
        knobs = {**options, **how, "output_file": str(tmp_path / "report.json")}
        command = [sys.executable, "-m", "tools.measure", "spark3d_pretrain", *(f"--{k}={v}" for k, v in knobs.items())]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        peaks.append(json.loads((tmp_path / "report.json").read_text())["peak_memory_gib"])
    assert 0.95 < peaks[0] / peaks[1] < 1.3


def test_counted_operations_are_those_of_the_convolutions(capsys, tmp_path):
    options = {"preset": "tiny", "flops": True, "network_def#features": [4, 4], "network_def#num_blocks": [1, 1]}
    options |= {"patch_size": [8, 8, 8], "output_file": str(tmp_path / "flops.json")}
    one = report(capsys, "hippocampus_segmentation", **options, batch_size=1)
    assert json.loads((tmp_path / "flops.json").read_text()) == one
    # forward, and backward to weights and input; the stem's input needs no gradient
    stem = 27 * 4 * 2
    top = 2 * 27 * 4 * 4 * 3  # the block's two convolutions
    decoder = (4 * 4 + 27 * 8 * 4 + 4 * 3) * 3  # upsampling, one convolution, head
    assert one["flops_per_step"] == 2 * (8**3 * (stem + top + decoder) + 4**3 * top)
    two = report(capsys, "hippocampus_segmentation", **options, batch_size=2)
    assert two["flops_per_step"] == 2 * one["flops_per_step"]


def test_counted_operations_of_a_block_have_its_attention(capsys):
    options = {"flops": True, "batch_size": 1, "patch_size": [32, 32, 32], "network_def#patch_size": [8, 8, 8]}
    options |= {"network_def#hidden_size": 24, "network_def#num_heads": 2, "mask_ratio": 0.75}
    options |= {
        "network_def#decoder_hidden_size": 24,
        "network_def#decoder_num_heads": 2,
        "network_def#decoder_depth": 1,
    }
    shallow, deep = (
        report(capsys, "vit_mae_pretrain", **options, **{"network_def#depth": depth})["flops_per_step"]
        for depth in (1, 2)
    )
    tokens, width = 1 + 64 // 4, 24
    products = tokens * (4 * width**2 + 2 * width * 4 * width) + 2 * tokens**2 * width  # linear layers, attention
    assert deep - shallow == 2 * 3 * products  # two operations each; forward and two backward


def test_of_a_range_of_mask_ratios_the_mean_of_its_ends_is_counted(capsys):
    options = {"preset": "compact", "flops": True, "batch_size": 1}
    low, high, both = (
        report(capsys, "spark3d_pretrain", **options, mask_ratio=ratio)["flops_per_step"]
        for ratio in (0.5, 0.75, [0.5, 0.75])
    )
    assert high < both < low
    assert both == pytest.approx((low + high) / 2, rel=0.02)


@pytest.mark.parametrize(
    ("bundle", "options", "message"),
    [
        ("hippocampus_segmentation", {"batchsize": 7}, "has no knob batchsize"),
        ("hippocampus_segmentation", {"preset": "huge"}, "there is no .*huge.json"),
        ("nosuch", {}, "there is no bundles/nosuch"),
        ("hippocampus_segmentation", {"memory": "8GB"}, "--memory 8GB is for an estimate: add --estimate"),
        ("hippocampus_segmentation", {"device": "cuda"}, "--flops counts on the CPU, the same on every machine"),
    ],
)
def test_what_does_not_exist_is_refused(bundle, options, message):
    with pytest.raises(InputError, match=message):
        main(bundle, flops=True, **options)
