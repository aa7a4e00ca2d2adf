"""Two sites in NVIDIA FLARE's simulator: they pretrain together, fine-tune from that, and the result is used."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest
import torch
from monai.bundle import ConfigParser

from tools.federate import main as federate
from tools.phantoms import make_phantoms
from tools.project import ROOT

pytest.importorskip("nvflare", reason="needs the environment of requirements-federation.txt")
pytest.importorskip("monai_nvflare", reason="needs the environment of requirements-federation.txt")

pytestmark = pytest.mark.slow
PRETRAIN, SEGMENT = "spark3d_pretrain", "hippocampus_segmentation"
SITES, ROUNDS, EPOCHS = ("north", "south"), 2, 2


class Run:
    """A finished simulation."""

    def __init__(self, folder: Path, log: str) -> None:
        self.folder, self.log = folder, log
        self.server = folder / "server" / "simulate_job" / "app_server"

    def site(self, name: str) -> Path:
        return self.folder / name / "simulate_job" / f"app_{name}" / "custom"


def simulate(job: Path, bundle: str, scans: dict[str, Path], **knobs: object) -> Run:
    """Write a job and run it as docs/federation.md says."""
    sites = {site: str(folder) for site, folder in scans.items()}
    federate(bundle, sites, ROUNDS, str(job), epochs=EPOCHS, preset="tiny", **knobs)
    run = job.with_name(f"{job.name}_run")
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("nvflare"), "simulator", job, "--workspace", run),
            *("--clients", ",".join(sites), "--threads", str(len(sites))),
        ],
        cwd=job.parent, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    return Run(run, done.output)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["model"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folders = {site: tmp_path_factory.mktemp("scans") / site for site in SITES}
    for seed, folder in enumerate(folders.values()):
        make_phantoms(str(folder), num_unlabelled=4, num_labelled=5, seed=seed)
    return folders


@pytest.fixture(scope="module")
def pretrained(scans, tmp_path_factory):
    data = {site: folder / "unlabelled" for site, folder in scans.items()}
    return simulate(tmp_path_factory.mktemp("federation") / "pretrain", PRETRAIN, data)


@pytest.fixture(scope="module")
def finetuned(scans, pretrained):
    data = {site: folder / "labelled" for site, folder in scans.items()}
    model = pretrained.server / "FL_global_model.pt"
    return simulate(pretrained.folder.with_name("finetune"), SEGMENT, data, pretrained=str(model), num_folds=2)


@pytest.fixture(params=[PRETRAIN, SEGMENT])
def federated(request):
    name = {PRETRAIN: "pretrained", SEGMENT: "finetuned"}[request.param]
    return request.param, request.getfixturevalue(name)


def test_the_global_model_is_the_mean_of_what_the_sites_trained(federated):
    bundle, run = federated
    files = [ROOT / "bundles" / bundle / "configs" / f"{name}.json" for name in ("train", "tiny")]
    own = ConfigParser(ConfigParser.load_config_files(files)).get_parsed_content("network_def").state_dict()
    assert (run.server / "FL_global_model.pt").is_file(), run.log[-6000:]
    found, start = weights(run.server / "FL_global_model.pt"), weights(run.server / "custom" / "initial.pt")
    assert list(found) == list(start) == list(own)  # nothing but the network's
    north, south = (weights(run.site(name) / "models" / "model_final.pt") for name in SITES)
    for key, value in found.items():
        torch.testing.assert_close(value, (north[key] + south[key]) / 2, rtol=1e-5, atol=1e-6)
    assert sum(not torch.equal(found[key], start[key]) for key in own) > 0.9 * len(own)
    assert any(not torch.equal(north[key], south[key]) for key in own)


def test_every_site_trained_all_rounds_on_its_own_scans(federated, scans):
    bundle, run = federated
    for name, other in zip(SITES, SITES[::-1], strict=True):
        state = torch.load(run.site(name) / "models" / "training_state.pt", weights_only=True)
        assert state["epoch"] == ROUNDS * EPOCHS
        assert not list((run.site(name) / "models").glob("former_*"))
        account = (run.site(name) / "eval" / {PRETRAIN: "curation.csv", SEGMENT: "cases.csv"}[bundle]).read_text()
        assert str(scans[name]) in account and str(scans[other]) not in account
    secrets = [str(folder).encode() for folder in scans.values()]
    for path in run.server.rglob("*"):  # the server is not even told where they lie
        assert not path.is_file() or not any(secret in path.read_bytes() for secret in secrets), path


def test_sites_score_the_global_model_and_the_server_keeps_the_best(federated):
    bundle, run = federated
    metric = {PRETRAIN: "val_reconstruction_error", SEGMENT: "val_mean_dice"}[bundle]
    for name in SITES:
        found = re.findall(rf"reported key metric {metric}: ([-\d.e]+)", (run.folder / name / "log.txt").read_text())
        assert len(found) == ROUNDS and all(math.isfinite(float(score)) for score in found)
    best = torch.load(run.server / "best_FL_global_model.pt", weights_only=True)
    assert list(best["model"]) == list(weights(run.server / "FL_global_model.pt"))


def test_the_pretrained_encoder_is_what_fine_tuning_started_from(pretrained, finetuned):
    start = weights(finetuned.server / "custom" / "initial.pt")
    encoder = weights(pretrained.server / "FL_global_model.pt")
    keys = [key for key in start if key.startswith("encoder.")]
    assert keys and all(torch.equal(start[key], encoder[f"network.{key}"]) for key in keys)


def test_the_models_are_checkpoints_like_any_other(pretrained, finetuned, scans, run_bundle, tmp_path):
    scan = scans["north"] / "labelled" / "imagesTr" / "phantom_000.nii.gz"
    model = finetuned.server / "FL_global_model.pt"
    run_bundle(SEGMENT, ["inference", "tiny"], dataset_dir=scan, checkpoint=model, output_dir=tmp_path / "masks")
    assert nib.load(tmp_path / "masks" / "phantom_000_seg.nii.gz").shape == nib.load(scan).shape
    knobs = {"dataset_dir": scans["south"] / "labelled", "num_folds": 2, "max_epochs": 2, "ckpt_dir": tmp_path / "own"}
    model = pretrained.server / "FL_global_model.pt"
    done = run_bundle(SEGMENT, ["train", "tiny"], pretrained=model, output_dir=tmp_path / "own", **knobs)
    assert "transferred encoder" in done.output and "0 skipped" in done.output
    assert torch.load(model, weights_only=True)["plan"]["steps"] == ROUNDS * EPOCHS * 3


def test_a_site_that_cannot_train_stops_all_and_says_why(scans, tmp_path):
    run = simulate(tmp_path / "job", PRETRAIN, {"north": scans["north"] / "unlabelled", "south": tmp_path / "nothing"})
    assert "nothing" in (run.folder / "south" / "log_error.txt").read_text()
    assert "Aborting current RUN" in run.log and not (run.server / "FL_global_model.pt").exists()
