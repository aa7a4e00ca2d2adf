import numpy as np
import pytest
import torch
from ignite.engine import Engine

from scripts.metrics import ReconstructionError, reconstruction_scores
from scripts.pretraining.masks import expand_mask
from scripts.pretraining.targets import CellNormalizedTargets


def test_scores_look_at_hidden_voxels_only():
    rng = np.random.default_rng(0)
    image, prediction = (rng.normal(size=(1, 2, 6, 5, 4)) for _ in range(2))
    hidden = rng.random((1, 1, 6, 5, 4)) < 0.5
    tensors = [torch.from_numpy(array) for array in (prediction, image, hidden)]
    scores = reconstruction_scores(*tensors)
    where = hidden[0, 0]
    mean = np.stack([np.full((6, 5, 4), image[0, c][~where].mean()) for c in range(2)])
    assert scores["hidden_voxels"] == where.sum()
    assert scores["mse"] == pytest.approx(((prediction - image)[0][:, where] ** 2).mean(), rel=1e-5)
    assert scores["mse_mean"] == pytest.approx(((mean - image[0])[:, where] ** 2).mean(), rel=1e-5)
    tensors[0][~tensors[2].expand_as(tensors[0])] = 1e6
    assert reconstruction_scores(*tensors) == scores


def test_smooth_images_are_interpolated_better_than_by_their_mean():
    image = torch.linspace(-1, 1, 12).view(1, 1, 12, 1, 1).expand(1, 1, 12, 12, 12)
    hidden = torch.zeros(1, 1, 12, 12, 12, dtype=torch.bool)
    hidden[..., 2:6, 3:9, 3:9] = True
    scores = reconstruction_scores(image, image, hidden)
    assert scores["mse"] == 0 and scores["mse_interpolation"] < 1e-6 < scores["mse_mean"]


def test_the_metric_averages_over_cases():
    torch.manual_seed(0)
    batches, errors = [], []
    for _ in range(3):
        image, prediction, mask = (
            torch.randn(1, 1, 8, 8, 8),
            torch.randn(1, 1, 8, 8, 8),
            torch.rand(1, 1, 2, 2, 2) < 0.5,
        )
        mask[..., 0] = True
        hidden = expand_mask(mask, (8, 8, 8))
        errors.append((prediction - image)[hidden].square().mean().item())
        batches.append({"pred": prediction, "label": (image, mask)})
    engine = Engine(lambda engine, batch: batch)
    ReconstructionError().attach(engine, "error")
    assert engine.run(batches).metrics["error"] == pytest.approx(np.mean(errors), rel=1e-5)


def test_everything_is_compared_in_the_space_of_the_targets():
    torch.manual_seed(0)
    image, targets = torch.randn(1, 1, 8, 8), CellNormalizedTargets((4, 4))
    mask = torch.tensor([[True, False], [False, True]])[None, None]
    hidden = expand_mask(mask, (8, 8))
    assert reconstruction_scores(targets(image), image, hidden, targets)["mse"] == 0
    scores = reconstruction_scores(torch.zeros_like(image), image, hidden, targets)
    # nothing known of a cell but its mean: the error is its variance, which is one
    assert scores["mse"] == pytest.approx(1, abs=1e-4) and scores["mse_mean"] == pytest.approx(1, abs=1e-4)
    engine = Engine(lambda engine, batch: batch)
    ReconstructionError(targets).attach(engine, "error")
    metrics = engine.run([{"pred": torch.zeros_like(image), "label": (image, mask)}]).metrics
    assert metrics["error"] == pytest.approx(scores["mse"], rel=1e-5)
