"""The road of the 2D bundles on generated X-rays: pretrain, fine-tune, evaluate, infer, export; in part from zips."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scripts.data import split_xrays, xray_cases
from scripts.data.xray_findings import FINDINGS
from tests.monai_checks import check_export, check_properties
from tools.project import ROOT

pytestmark = pytest.mark.slow
PRETRAIN, CLASSIFY = "vit_mae_chestxray_pretrain", "chestxray14_classification"


@pytest.fixture(scope="module", params=["checkout", "zip"])
def bundles(request: pytest.FixtureRequest) -> Path:
    return ROOT / "bundles" if request.param == "checkout" else request.getfixturevalue("released")


@pytest.fixture(scope="module")
def work(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def pretrained(bundles: Path, run_bundle: Any, xrays: Path, work: Path) -> Path:
    run_bundle(
        bundles / PRETRAIN,
        ["train", "tiny"],
        dataset_dir=xrays,
        output_dir=work / "pre",
        ckpt_dir=work / "pre" / "models",
    )
    return work / "pre" / "models" / "model.pt"


@pytest.fixture(scope="module")
def finetuned(bundles: Path, run_bundle: Any, xrays: Path, work: Path, pretrained: Path) -> Path:
    folder = work / "fine"
    done = run_bundle(
        bundles / CLASSIFY, ["train", "tiny"], dataset_dir=xrays, output_dir=folder, ckpt_dir=folder / "models",
        pretrained=pretrained,
    )  # fmt: skip
    assert "transferred encoder" in done.output and "training images" in done.output
    return folder / "models"


@pytest.mark.parametrize("bundles", ["checkout"], indirect=True)
def test_reconstruction_is_scored_and_shown(
    bundles: Path, run_bundle: Any, xrays: Path, work: Path, pretrained: Path
) -> None:
    common = {"ckpt_dir": pretrained.parent}
    run_bundle(
        bundles / PRETRAIN, ["train", "evaluate", "tiny"], dataset_dir=xrays, output_dir=work / "scores", **common
    )
    report = json.loads((work / "scores" / "reconstruction.json").read_text())
    held_out = split_xrays(xray_cases(xrays), val_fraction=0.3)["val"]
    assert [case["case"] for case in report["cases"]] == [case["case"] for case in held_out]
    assert report["mean"]["mse_mean"] == pytest.approx(1, abs=0.01)  # normalised patches: a constant has variance 1
    image = held_out[0]["image"]
    run_bundle(bundles / PRETRAIN, ["inference", "tiny"], dataset_dir=image, output_dir=work / "pictures", **common)
    assert (work / "pictures" / held_out[0]["case"] / f"{held_out[0]['case']}.png").stat().st_size > 5000


def test_scores_are_those_of_the_written_probabilities(
    bundles: Path, run_bundle: Any, xrays: Path, work: Path, finetuned: Path
) -> None:
    common = {"dataset_dir": xrays, "ckpt_dir": finetuned}
    run_bundle(bundles / CLASSIFY, ["train", "evaluate", "tiny"], output_dir=work / "metrics", **common)
    run_bundle(
        bundles / CLASSIFY, ["inference", "tiny"], output_dir=work / "found", overlay="occlusion", square_size=8,
        **{**common, "dataset_dir": xrays / "images_003"},
    )  # fmt: skip
    report = json.loads((work / "metrics" / "metrics.json").read_text())
    scored, found = (
        {row["case"]: row for row in csv.DictReader((work / name / "probabilities.csv").open())}
        for name in ("metrics", "found")
    )
    test = split_xrays(xray_cases(xrays), val_fraction=0.3)["test"]
    assert list(scored) == [case["case"] for case in test] and report["images"] == len(test)
    values = []
    for index, finding in enumerate(FINDINGS):
        positive, negative = (
            [float(scored[case["case"]][finding]) for case in test if case["label"][index] == value] for value in (1, 0)
        )
        if positive and negative:
            values.append(np.mean([(p > n) + 0.5 * (p == n) for p in positive for n in negative]))
    assert report["mean"]["findings"] == len(values)
    assert report["mean"]["auc"] == pytest.approx(np.mean(values), abs=0.02)  # the file is rounded to six digits
    # the same image gives the same probabilities on both roads
    shared = scored.keys() & found.keys()
    assert shared and all(
        float(scored[case][finding]) == pytest.approx(float(found[case][finding]), abs=1e-5)
        for case in shared
        for finding in FINDINGS
    )
    assert len(list((work / "found").glob("*_occlusion.png"))) == len(found)


def test_the_checkpoint_says_what_it_was_trained_on(finetuned: Path) -> None:
    plan = torch.load(finetuned / "model.pt", weights_only=True)["plan"]
    assert plan["pretrained"] == "model.pt"
    assert list(plan["labels"]) == list(FINDINGS) and plan["patch_size"] == [32, 32] and plan["equalise"] is True
    assert plan["pretrained_on"] and plan["pretrained_on"] == plan["trained_on"]  # the same patients are left out


@pytest.mark.parametrize("bundles", ["checkout"], indirect=True)
@pytest.mark.parametrize("name", [PRETRAIN, CLASSIFY])
def test_monai_verifies_and_exports(
    bundles: Path, name: str, pretrained: Path, finetuned: Path, tmp_path: Path
) -> None:
    check_export(bundles / name, pretrained if name == PRETRAIN else finetuned / "model.pt", 3, tmp_path)


@pytest.mark.parametrize("bundles", ["checkout"], indirect=True)
@pytest.mark.parametrize("name", [PRETRAIN, CLASSIFY])
@pytest.mark.parametrize("workflow", ["train", "inference"])
def test_monai_finds_the_properties_it_wants(
    bundles: Path, name: str, workflow: str, xrays: Path, tmp_path: Path
) -> None:
    check_properties(bundles / name, workflow, xrays, tmp_path)


def test_a_missing_image_is_one_line(run_bundle: Any, xrays: Path, tmp_path: Path) -> None:
    shutil.copytree(xrays, tmp_path / "xrays")
    (tmp_path / "xrays" / "images_001" / "images" / "00000001_000.png").unlink()
    done = run_bundle(
        CLASSIFY, ["train", "tiny"], dataset_dir=tmp_path / "xrays", output_dir=tmp_path / "out", check=False
    )
    assert (
        done.returncode != 0
        and "row 2 (00000001_000.png) has no image" in done.output
        and "Traceback" not in done.output
    )
