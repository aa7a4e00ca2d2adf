import json

import pytest

from tools.measure import main


def report(capsys, *arguments, **options):
    main(*arguments, **options)
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("bundle", ["spark3d_pretrain", "hippocampus_segmentation"])
def test_a_step_is_measured(capsys, bundle):
    found = report(capsys, bundle, preset="tiny", steps=3, batch_size=1)
    assert found["batch_size"] == 1 and found["steps"] == 3 and found["seconds_per_step"] > 0


def test_the_estimate_grows_with_the_batch_and_knows_the_published_size(capsys):
    one = report(capsys, "spark3d_pretrain", estimate=True, batch_size=1)
    two = report(capsys, "spark3d_pretrain", estimate=True, batch_size=2)
    assert one["parameters"] == two["parameters"] == 102_348_965 + 7_854_240
    assert two["activations_gib"] == pytest.approx(2 * one["activations_gib"], rel=0.05)
    assert one["weights_gradients_momentum_gib"] == pytest.approx(one["parameters"] * 12 / 2**30, abs=0.01)


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
