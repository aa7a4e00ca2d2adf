"""The trained hippocampus networks in the repository: they run straight after cloning and score what records say."""

from __future__ import annotations

import json
import re

import nibabel as nib
import numpy as np
import torch

from scripts.checkpoints import networks_in
from tools.project import ROOT

BUNDLE = ROOT / "bundles" / "hippocampus_segmentation"
MODEL = BUNDLE / "models" / "model.pt"
RECORDS = ROOT / "docs" / "results" / "hippocampus_model" / "shipped_metrics.json"
CASES = 3


def test_it_is_small_and_says_what_it_is():
    content = torch.load(MODEL, weights_only=True)
    card = json.loads((BUNDLE / "card.json").read_text())
    assert MODEL.stat().st_size < 16e6
    assert content["plan"]["labels"] == card["dataset"]["labels"]
    assert content["plan"]["network"]["features"] == card["common"]["network_def#features"]
    states = networks_in(content)
    assert len(states) == 2 and all(tensor.isfinite().all() for state in states for tensor in state.values())


def test_its_licence_stands_on_every_page_that_it_is_taken_from():
    licence = json.loads((BUNDLE / "card.json").read_text())["docs"]["weights_licence"]
    assert licence.startswith("CC BY-SA 4.0")
    assert "shared under the same licence" in (BUNDLE / "docs" / "data_license.txt").read_text()
    for page in (BUNDLE / "docs" / "README.md", ROOT / "README.md"):
        assert re.search(rf"Weights[^:]*: {licence}", page.read_text().replace("\n", " "))


def test_it_runs_straight_after_cloning(phantoms, run_bundle, tmp_path):
    case = sorted((phantoms / "labelled" / "imagesTr").glob("*.nii.gz"))[0]
    run_bundle(BUNDLE, ["inference"], dataset_dir=case, output_dir=tmp_path)
    found = nib.load(next(tmp_path.rglob("*_seg.nii.gz")))
    assert found.shape == nib.load(case).shape and set(np.unique(found.dataobj)) <= {0, 1, 2}


def test_it_segments_as_recorded(real_data, run_bundle, tmp_path):
    folder = real_data / "Task04_Hippocampus"
    records = json.loads(RECORDS.read_text())["cases"]
    for case in sorted({score["case"] for score in records})[:CASES]:
        run_bundle(
            BUNDLE, ["inference"], dataset_dir=folder / "imagesTr" / f"{case}.nii.gz", output_dir=tmp_path,
            mirror_axes=[0],
        )  # fmt: skip
        found = np.asanyarray(nib.load(next(tmp_path.rglob(f"{case}*.nii.gz"))).dataobj)
        label = np.asanyarray(nib.load(folder / "labelsTr" / f"{case}.nii.gz").dataobj)
        for value, name in enumerate(("anterior", "posterior"), start=1):
            a, b = found == value, label == value
            [recorded] = [score["dsc"] for score in records if (score["case"], score["class"]) == (case, name)]
            np.testing.assert_allclose(2 * (a & b).sum() / (a.sum() + b.sum()), recorded, atol=1e-3)
