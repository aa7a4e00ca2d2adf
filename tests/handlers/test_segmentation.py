import csv
import json
import logging
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from scripts.errors import InputError
from scripts.handlers import ClassificationReport, ReconstructionReport, SaveSegmentations, SegmentationReport

LABELS = {"background": 0, "anterior": 1, "posterior": 2}
AFFINE = torch.tensor([[0.0, -2, 0, 5], [1, 0, 0, -3], [0, 0, 3, 7], [0, 0, 0, 1]], dtype=torch.float64)


def boxes(*ranges):
    """Return (1, D, H, W) with the label 1, 2, ... in each range of the first axis."""
    voxels = torch.zeros(1, 12, 10, 8)
    for label, (start, stop) in enumerate(ranges, start=1):
        voxels[0, start:stop, 2:8, 2:6] = label
    return MetaTensor(voxels, affine=AFFINE)


@pytest.fixture
def engine():
    """Two cases: the first perfect; in the second the anterior part is found by half and the posterior is not there."""
    outputs = [
        {"pred": boxes((2, 6), (6, 10)), "label": boxes((2, 6), (6, 10))},
        {"pred": boxes((2, 4)), "label": boxes((2, 6))},
    ]
    return SimpleNamespace(state=SimpleNamespace(batch=[{"case": "a"}, {"case": "b"}], output=outputs, metrics={}))


def test_the_account_holds_every_case_and_class(engine, tmp_path):
    report = SegmentationReport(str(tmp_path), LABELS, nsd_tolerance_mm=2.0, part="test")
    report.score(engine)
    report.write(engine)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [(r["case"], r["class"]) for r in rows] == [(c, k) for c in "ab" for k in ("anterior", "posterior")]
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["part"] == "test" and content["nsd_tolerance_mm"] == 2.0 and "not counted" in content["empty_rule"]
    dsc = {(row["case"], row["class"]): row["dsc"] for row in content["cases"]}
    # half of a box found: 2 * 2 / (2 + 4)
    assert dsc == pytest.approx(
        {("a", "anterior"): 1, ("a", "posterior"): 1, ("b", "anterior"): 2 / 3, ("b", "posterior"): None}
    )
    assert content["summary"]["anterior"]["dsc"]["mean"] == pytest.approx((1 + 2 / 3) / 2)
    assert content["summary"]["posterior"]["dsc"] == {"mean": 1.0, "sd": None, "n": 1}
    assert content["summary"]["mean"]["dsc"]["mean"] == pytest.approx((1 + 2 / 3) / 2)
    assert engine.state.metrics == {"mean_dsc": content["summary"]["mean"]["dsc"]["mean"]}


@pytest.mark.gpu
def test_references_on_a_gpu_are_scored_against_labels_on_the_cpu(engine, tmp_path):
    for output in engine.state.output:
        output["label"] = output["label"].cuda()
    report = SegmentationReport(str(tmp_path), LABELS, lesion_scores=True)
    report.score(engine)
    report.write(engine)
    assert len(json.loads((tmp_path / "metrics.json").read_text())["cases"]) == 4


def test_distances_are_in_mm_of_the_image(engine, tmp_path):
    report = SegmentationReport(str(tmp_path), LABELS)
    report.score(engine)
    found = {(row["case"], row["class"]): row["hd95_mm"] for row in report.rows}
    assert found["a", "anterior"] == 0
    assert found["b", "anterior"] == pytest.approx(2 * 1.0)  # two voxels along the axis of 1 mm


def test_distances_in_voxels_of_the_spacing_the_network_works_at(engine, tmp_path):
    """The image's first axis points to the front, so that the second number of the spacing is its own."""
    report = SegmentationReport(str(tmp_path), LABELS, distance_unit="voxel", spacing=(7.0, 0.5, 9.0))
    report.score(engine)
    found = {(row["case"], row["class"]): row["hd95_voxel"] for row in report.rows}
    assert found["b", "anterior"] == pytest.approx(2 * 1.0 / 0.5)
    assert found["b", "posterior"] is not None and "hd95_mm" not in report.rows[0]


def test_the_mean_is_taken_over_the_reported_classes(engine, tmp_path):
    report = SegmentationReport(str(tmp_path), LABELS, reported_classes=["posterior"])
    report.score(engine)
    report.write(engine)
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["reported_classes"] == ["posterior"] and len(content["cases"]) == 4
    assert content["summary"]["mean"]["dsc"] == content["summary"]["posterior"]["dsc"]
    assert content["summary"]["mean"]["dsc"] != content["summary"]["anterior"]["dsc"]


def test_regions_are_scored_as_unions(engine, tmp_path):
    report = SegmentationReport(str(tmp_path), {"whole": [1, 2], "rear": 2})
    report.score(engine)
    dsc = {(row["case"], row["class"]): row["dsc"] for row in report.rows}
    assert dsc["a", "whole"] == dsc["a", "rear"] == 1 and dsc["b", "whole"] == pytest.approx(2 / 3)


def test_former_scores_are_kept(engine, tmp_path, caplog):
    for part in ("val", "test"):
        report = SegmentationReport(str(tmp_path), LABELS, part=part)
        report.score(engine)
        with caplog.at_level(logging.INFO):
            report.write(engine)
    parts = [json.loads((tmp_path / place / "metrics.json").read_text())["part"] for place in (".", "former_1")]
    assert parts == ["test", "val"] and (tmp_path / "former_1" / "metrics.csv").exists()
    assert f"2 files of an earlier run are kept in {tmp_path / 'former_1'}" in caplog.text


@pytest.mark.parametrize("wish", [{"reported_classes": ["liver"]}, {"reported_classes": ["background"]}])
def test_unknown_classes_cannot_be_reported(tmp_path, wish):
    with pytest.raises(InputError, match="reported_classes names .*: give names out of background, anterior"):
        SegmentationReport(str(tmp_path), LABELS, **wish)
    with pytest.raises(InputError, match="reported_classes is 'anterior': give a list"):
        SegmentationReport(str(tmp_path), LABELS, reported_classes="anterior")
    with pytest.raises(InputError, match="distance_unit is 'cm': give mm or voxel"):
        SegmentationReport(str(tmp_path), LABELS, distance_unit="cm")


def test_segmentations_lie_on_the_grid_they_came_with(engine, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        SaveSegmentations(str(tmp_path))(engine)
        assert "replaces" not in caplog.text
        SaveSegmentations(str(tmp_path))(engine)
    assert "a: its segmentation replaces" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_seg.nii.gz", "b_seg.nii.gz"]
    for item, output in zip(engine.state.batch, engine.state.output, strict=True):
        image = nib.load(tmp_path / f"{item['case']}_seg.nii.gz")
        assert image.get_data_dtype() == np.uint8 and np.array_equal(image.affine, AFFINE)
        assert np.array_equal(image.dataobj, output["pred"][0])


def test_lesions_are_counted_where_asked(engine, tmp_path):
    report = SegmentationReport(str(tmp_path), LABELS, lesion_scores=True)
    report.score(engine)
    report.write(engine)
    content = json.loads((tmp_path / "metrics.json").read_text())
    rows = {(row["case"], row["class"]): row for row in content["cases"]}
    assert rows["b", "anterior"]["lesion_f1"] == 1 and rows["b", "posterior"]["lesion_f1"] is None
    assert content["summary"]["anterior"]["lesion_recall"] == {"mean": 1.0, "sd": 0.0, "n": 2}
    assert content["lesions_of_all_cases"]["posterior"]["lesions_true"] == 1 and "26" in content["lesion_rule"]
    lesions = list(csv.DictReader((tmp_path / "lesions.csv").open()))
    assert [row["case"] for row in lesions] == ["a"] * 4 + ["b"] * 2
    # 4 x 6 x 4 voxels of 1 x 2 x 3 mm, found by half
    assert float(lesions[-2]["volume_mm3"]) == 96 * 6 and float(lesions[-1]["iou"]) == 0.5
    with pytest.raises(InputError, match="lesion_scores"):
        SegmentationReport(str(tmp_path), LABELS, lesion_scores="no")


def test_dice_of_the_set_stands_beside_the_mean_of_the_cases(engine, tmp_path):
    report = SegmentationReport(str(tmp_path), LABELS)
    report.score(engine)
    report.write(engine)
    content = json.loads((tmp_path / "metrics.json").read_text())
    # of the anterior part 4 + 2 of 4 + 4 slices are found
    assert content["aggregated_dsc"]["anterior"] == pytest.approx(2 * 6 / (8 + 6))
    assert "lesion_rule" not in content and not (tmp_path / "lesions.csv").exists()
    report.reset(None)
    assert not report.rows and report.aggregated.result()["mean"] is None


@pytest.mark.parametrize("report", [SegmentationReport, ReconstructionReport, ClassificationReport])
def test_a_share_of_the_cases_is_no_account_of_them_all(tmp_path, monkeypatch, report):
    given = [] if report is ReconstructionReport else [LABELS]
    evaluator = Engine(lambda engine, batch: None)
    report(str(tmp_path), *given).attach(evaluator)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    with pytest.raises(InputError, match="runs in 2 processes, .* run it in one"):
        evaluator.run([0])
    assert not any(tmp_path.iterdir())
