from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from torch import nn

from scripts.errors import InputError
from scripts.handlers import ClassificationReport, OcclusionOverlays, SaveProbabilities

LABELS = ["Mass", "Nodule", "Hernia"]


def run(handler: SaveProbabilities | OcclusionOverlays, outputs: list[dict[str, torch.Tensor]]) -> Engine:
    batch = [{"case": f"{n:03d}", "patient": str(n // 2)} for n in range(len(outputs))]

    def step(engine: Engine, number: int) -> list[dict[str, torch.Tensor]]:
        engine.state.batch = [batch[number]]
        return [outputs[number]]

    engine = Engine(step)
    handler.attach(engine)
    engine.run(range(len(outputs)))
    return engine


def test_report_writes_probabilities_and_scores(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    truth = np.array([[1, 0, 0], [0, 1, 0]] * 5)
    outputs = [
        {"pred": torch.as_tensor(0.8 * t + 0.1 * rng.random(3)), "label": torch.as_tensor(t, dtype=torch.float32)}
        for t in truth
    ]
    engine = run(ClassificationReport(str(tmp_path), LABELS, num_resamples=20, part="test"), outputs)
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert engine.state.metrics == {"mean_auc": 1}
    assert report["mean"]["auc"] == 1 and report["left_out"] == ["Hernia"] and report["part"] == "test"
    assert report["images"] == 10 and report["patients"] == 5
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [row["finding"] for row in rows] == LABELS and rows[2]["auc"] == ""
    rows = list(csv.DictReader((tmp_path / "probabilities.csv").open()))
    assert [float(row["Nodule"]) for row in rows] == pytest.approx([float(o["pred"][1]) for o in outputs], abs=1e-6)
    assert "left out, since these images lack one of the classes: Hernia" in caplog.text


def test_probabilities_of_an_earlier_run_are_kept(tmp_path: Path) -> None:
    for value in (0.25, 0.75):
        run(SaveProbabilities(str(tmp_path), LABELS), [{"pred": torch.full((3,), value)}])
    for folder, value in ((tmp_path, "0.75"), (tmp_path / "former_1", "0.25")):
        assert next(csv.DictReader((folder / "probabilities.csv").open()))["Mass"].startswith(value)


@pytest.mark.parametrize("kind", [SaveProbabilities, ClassificationReport])
def test_no_probability_that_is_no_number_is_written(tmp_path: Path, kind: type[SaveProbabilities]) -> None:
    outputs = [{"pred": torch.tensor([0.1, 0.2, value]), "label": torch.zeros(3)} for value in (0.3, torch.nan)]
    with pytest.raises(InputError, match="the network's output is NaN or infinite"):
        run(kind(str(tmp_path), LABELS), outputs)
    assert not list(tmp_path.iterdir())


class Corner(nn.Module):
    """Sees the upper left corner only."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen = image[:, :1, :8, :8].mean((1, 2, 3))
        return torch.stack([seen, -seen, 0 * seen], dim=1)


def test_occlusion_finds_where_the_network_looks(tmp_path: Path) -> None:
    image = torch.zeros(3, 32, 32)
    image[:, :8, :8] = 2
    handler = OcclusionOverlays(str(tmp_path), Corner(), LABELS, "occlusion", square=8)
    loss = torch.sigmoid(torch.tensor(2.0)) - torch.as_tensor(handler.occlude(image[None])[0])[0, 0]
    assert loss[:8, :8].mean() > 0.2 and loss[16:, 16:].abs().max() < 1e-6
    run(handler, [{"image": image, "pred": torch.sigmoid(Corner()(image[None])[0])}])
    assert (tmp_path / "000_occlusion.png").stat().st_size > 5000
    run(OcclusionOverlays(str(tmp_path / "none"), Corner(), LABELS), [{"image": image, "pred": torch.zeros(3)}])
    assert not (tmp_path / "none").exists()
    with pytest.raises(InputError, match="allowed are occlusion"):
        OcclusionOverlays(str(tmp_path), Corner(), LABELS, "gradcam")
