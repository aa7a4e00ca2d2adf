from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.metrics import compute_roc_auc
from scipy.stats import mannwhitneyu, norm

from scripts.metrics import MeanAUC, auc_report
from scripts.metrics.auc import auc, mean_auc


def naive(scores: np.ndarray, truth: np.ndarray) -> float:
    positive, negative = scores[truth == 1], scores[truth == 0]
    return float(np.mean([(p > n) + 0.5 * (p == n) for p in positive for n in negative]))


@pytest.mark.parametrize("decimals", [1, 8])
def test_equals_pairs_ranks_and_monai(decimals: int) -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(150) < 0.3).astype(int)
    scores = np.round(rng.random(150) * 0.6 + 0.4 * truth * rng.random(150), decimals)  # with many ties, and with none
    value = auc(scores, truth)[0]
    assert value == pytest.approx(naive(scores, truth), abs=1e-12)
    u = mannwhitneyu(scores[truth == 1], scores[truth == 0]).statistic
    assert value == pytest.approx(u / (truth.sum() * (1 - truth).sum()), abs=1e-12)
    assert value == pytest.approx(compute_roc_auc(torch.as_tensor(scores), torch.as_tensor(truth)), abs=1e-6)


def test_weights_count_as_repeated_images() -> None:
    rng = np.random.default_rng(1)
    truth, scores = rng.integers(0, 2, 40), np.round(rng.random(40), 1)
    weights = rng.integers(0, 4, (3, 40))
    expected = [naive(np.repeat(scores, w), np.repeat(truth, w)) for w in weights]
    np.testing.assert_allclose(auc(scores, truth, weights.astype(float)), expected)


def test_findings_without_both_classes_are_left_out_and_named() -> None:
    rng = np.random.default_rng(2)
    truth = np.stack([rng.integers(0, 2, 30), np.zeros(30), np.ones(30)], axis=1)
    probabilities = rng.random((30, 3))
    report = auc_report(probabilities, truth, [str(n) for n in range(30)], ["some", "none", "all"], 50)
    assert report["left_out"] == ["none", "all"] and report["mean"]["findings"] == 1
    assert report["mean"]["auc"] == report["findings"]["some"]["auc"] == mean_auc(probabilities, truth)
    assert report["findings"]["none"] == {"auc": None, "low": None, "high": None, "positives": 0, "negatives": 30}
    nothing = auc_report(probabilities[:, 1:], truth[:, 1:], [str(n) for n in range(30)], ["none", "all"], 50)
    assert nothing["mean"]["auc"] is None and np.isnan(mean_auc(probabilities[:, 1:], truth[:, 1:]))


def test_a_probability_that_is_no_number_has_no_rank() -> None:
    probabilities, truth = np.array([[0.1, 0.2], [0.9, 0.8], [0.5, np.nan]]), np.array([[0, 0], [1, 1], [0, 1]])
    for order in ([0, 1, 2], [2, 0, 1], [0, 2, 1]):
        assert np.isnan(mean_auc(probabilities[order], truth[order]))


def draw(rng: np.random.Generator, num_patients: int = 60, images: int = 4) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images whose scores agree within a patient, of AUC Phi(1 / sqrt(2)) in the population."""
    truth = np.repeat(rng.integers(0, 2, num_patients), images)
    scores = truth + np.repeat(rng.normal(size=num_patients), images) + 0.0
    return scores[:, None], truth[:, None], [str(p) for p in np.repeat(np.arange(num_patients), images)]


def test_intervals_cover_because_they_are_by_patient() -> None:
    true = norm.cdf(1 / np.sqrt(2))
    by_patient, by_image = 0, 0
    for trial in range(100):
        scores, truth, patients = draw(np.random.default_rng(trial))
        for grouped in (True, False):
            ids = patients if grouped else [str(n) for n in range(len(patients))]
            row = auc_report(scores, truth, ids, ["f"], 200, seed=trial)["findings"]["f"]
            covered = row["low"] <= true <= row["high"]
            by_patient += grouped and covered
            by_image += not grouped and covered
    assert 88 <= by_patient <= 100 and by_image < 80


def test_key_metric_is_that_of_all_batches() -> None:
    rng = np.random.default_rng(3)
    prediction, label = torch.as_tensor(rng.random((12, 3))), torch.as_tensor(rng.integers(0, 2, (12, 3)))
    label[:, 2] = 0

    def step(engine: Engine, rows: list[int]) -> list[dict[str, torch.Tensor]]:
        return [{"pred": prediction[r], "label": label[r]} for r in rows]

    engine = Engine(step)
    MeanAUC().attach(engine, "auc")
    engine.run([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]])
    expected = np.mean([naive(prediction[:, f].numpy(), label[:, f].numpy()) for f in range(2)])
    assert engine.state.metrics["auc"] == pytest.approx(expected)
