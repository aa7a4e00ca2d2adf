import numpy as np
import pytest
import torch

from scripts.metrics import SegmentationDice, segmentation_scores, summary

CLASSES = {"a": 1, "b": 2, "c": 3}


def test_it_is_the_mean_of_the_test_s_scores():
    rng = np.random.default_rng(0)
    metric = SegmentationDice(num_classes=4).metric_fn
    rows = []
    for case, (there, found) in enumerate(
        [((1, 2, 3), (1, 2, 3)), ((1,), (1, 3)), ((2, 3), (2,)), ((), (1,)), ((), ())]
    ):
        label, pred = (torch.from_numpy(rng.choice([0, *values], (6, 6, 6))) for values in (there, found))
        rows += [{"case": case, **row} for row in segmentation_scores(pred, label, CLASSES, [1, 1, 1], 1.0)]
        metric([pred[None]], [label[None].float()])
    expected = summary(rows)["mean"]["dsc"]
    assert metric.aggregate() == pytest.approx(expected["mean"], rel=1e-6) and expected["n"] == 4


def test_every_channel_of_regions_counts():
    metric = SegmentationDice().metric_fn
    label = torch.zeros(2, 4, 4, 4)
    label[0, :2] = 1
    metric([label], [label])
    metric([1 - label], [label])
    assert metric.aggregate() == pytest.approx((1 + 0) / 2)
