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
