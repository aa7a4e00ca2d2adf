import csv
import json
import logging
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from scripts.handlers import ReconstructionPictures, ReconstructionReport, SaveReconstructions
from scripts.pretraining.targets import CellNormalizedTargets

SIZES = {"a": (12, 16, 10), "b": (16, 16, 16)}
AFFINE = torch.diag(torch.tensor([1.0, 2.0, 3.0, 1.0]))


@pytest.fixture
def engine():
    """Two padded volumes of 16^3 with cells of 4^3, of which every second is hidden."""
    torch.manual_seed(0)
    image, prediction = torch.randn(2, 1, 16, 16, 16), torch.randn(2, 1, 16, 16, 16)
    mask = (torch.arange(64).view(1, 1, 4, 4, 4) % 2 == 0).expand(2, -1, -1, -1, -1)
    batch = {
        "case": list(SIZES),
        "size": torch.tensor(list(SIZES.values())),
        "image_affine": AFFINE.expand(2, -1, -1),
    }
    output = {"pred": prediction, "label": (image, mask)}
    return SimpleNamespace(state=SimpleNamespace(batch=batch, output=output, iteration=1, epoch=3))


def expected(engine, number):
    """Return image, hidden and prediction of a case as arrays without padding."""
    image, mask = engine.state.output["label"]
    hidden = np.kron(mask[number, 0].numpy(), np.ones((4, 4, 4))) > 0
    inside = tuple(slice(n) for n in list(SIZES.values())[number])
    volumes = image[number, 0].numpy(), hidden, engine.state.output["pred"][number, 0].numpy()
    return [volume[inside] for volume in volumes]


def test_the_report_counts_hidden_voxels_inside_the_image_only(engine, tmp_path):
    report = ReconstructionReport(str(tmp_path), mask_ratio=0.5)
    report.score(engine)
    report.write(engine)
    rows = list(csv.DictReader((tmp_path / "reconstruction.csv").open()))
    content = json.loads((tmp_path / "reconstruction.json").read_text())
    assert [row["case"] for row in rows] == list(SIZES) and content["mask_ratio"] == 0.5
    for number, row in enumerate(rows):
        image, hidden, prediction = expected(engine, number)
        assert int(row["hidden_voxels"]) == hidden.sum()
        assert float(row["mse"]) == pytest.approx(((prediction - image)[hidden] ** 2).mean(), rel=1e-5)
        assert float(row["mse_mean"]) == pytest.approx(((image[~hidden].mean() - image[hidden]) ** 2).mean(), rel=1e-5)
    for name, mean in content["mean"].items():
        assert mean == pytest.approx(np.mean([float(row[name]) for row in rows]))


def test_saved_volumes_are_the_image_with_its_hidden_voxels_exchanged(engine, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        SaveReconstructions(str(tmp_path))(engine)
        assert "replacing former ones" not in caplog.text
        SaveReconstructions(str(tmp_path))(engine)
    assert "replacing former ones" in caplog.text
    for number, case in enumerate(SIZES):
        image, hidden, prediction = expected(engine, number)
        wanted = {
            "original": image,
            "masked": np.where(hidden, image.min(), image),
            "reconstruction": np.where(hidden, prediction, image),
        }
        assert {path.name for path in (tmp_path / case).iterdir()} == {
            f"{case}.png",
            *(f"{case}_{name}.nii.gz" for name in wanted),
        }
        for name, volume in wanted.items():
            nifti = nib.load(tmp_path / case / f"{case}_{name}.nii.gz")
            assert np.array_equal(nifti.get_fdata(dtype=np.float32), volume) and np.array_equal(nifti.affine, AFFINE)
        assert (tmp_path / case / f"{case}.png").read_bytes().startswith(b"\x89PNG")


def test_one_picture_per_validation(engine, tmp_path):
    pictures = ReconstructionPictures(str(tmp_path))
    pictures(engine)
    engine.state.iteration = 2
    pictures(engine)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [image.step for image in events.Images("reconstruction")] == [3]


def test_normalised_cells_at_the_border_are_whole(engine, tmp_path):
    """Case "a" ends within cells, whose mean and deviation are those that the network met, padding included."""
    targets = CellNormalizedTargets((4, 4, 4))
    image, _ = engine.state.output["label"]
    engine.state.output["pred"] = targets(image) + 0.5
    report = ReconstructionReport(str(tmp_path), targets=targets)
    report.score(engine)
    assert [row["mse"] for row in report.rows] == pytest.approx([0.25, 0.25], rel=1e-5)
    engine.state.output["pred"] = targets(image)
    SaveReconstructions(str(tmp_path), targets)(engine)
    for case in SIZES:
        volumes = [nib.load(tmp_path / case / f"{case}_{name}.nii.gz") for name in ("original", "reconstruction")]
        np.testing.assert_allclose(volumes[0].get_fdata(), volumes[1].get_fdata(), atol=1e-5)


def test_images_in_two_dimensions_get_a_picture(tmp_path):
    image, mask = torch.randn(1, 3, 8, 8), torch.tensor([[True, False], [False, True]])[None, None]
    output = {"pred": torch.zeros_like(image), "label": (image, mask)}
    engine = SimpleNamespace(state=SimpleNamespace(batch={"case": ["x"]}, output=output, iteration=1, epoch=1))
    targets = CellNormalizedTargets((4, 4))
    SaveReconstructions(str(tmp_path), targets)(engine)
    report = ReconstructionReport(str(tmp_path), targets=targets)
    report.score(engine)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["x.png"]
    assert report.rows[0]["hidden_voxels"] == 32 and report.rows[0]["mse"] == pytest.approx(1, abs=1e-3)
