"""Two federated clients of MONAI run our configs: data of their own, and only the network's weights leave a site."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject
from torch.utils.data import default_collate

from tests.monai_checks import run_python
from tools.phantoms import make_phantoms
from tools.project import ROOT

pytestmark = pytest.mark.slow
PRETRAIN, SEGMENT = "spark3d_pretrain", "hippocampus_segmentation"
TRAIN = ["configs/train.json", "configs/tiny.json"]
EVALUATE = ["configs/train.json", "configs/evaluate.json", "configs/tiny.json"]
ROUNDS, BATCH = 2, 2
Weights = dict[str, torch.Tensor]
# (part that trains, learning rate) of every step of both rounds, one epoch each, written down
PRETRAINING = [("all", 1e-2 * (1 - n / 6) ** 0.9) for n in range(6)]
FINE_TUNING = [("decoder", 5e-4), ("decoder", 1e-3), ("all", 5e-4), ("all", 1e-3)]
FINE_TUNING += [("all", 1e-3 * (1 - n / 4) ** 0.9) for n in range(4)]


class Site:
    """A client with its own copy of a bundle and its own scans."""

    def __init__(self, folder: Path, bundle: str, scans: Path, **knobs: Any) -> None:
        self.root = folder / bundle
        shutil.copytree(ROOT / "bundles" / bundle, self.root, ignore=shutil.ignore_patterns("models"))
        self.knobs = {"dataset_dir": str(scans), "rounds": ROUNDS, **knobs}
        self.client = MonaiAlgo(
            bundle, send_weight_diff=False, config_train_filename=TRAIN, train_kwargs=dict(self.knobs),
            config_evaluate_filename=EVALUATE, eval_kwargs=dict(self.knobs),
        )  # fmt: skip
        self.client.initialize({ExtraItems.CLIENT_NAME: folder.name, ExtraItems.APP_ROOT: str(folder)})
        self.steps: list[int] = []
        self.client.trainer.add_event_handler(
            Events.ITERATION_STARTED, lambda engine: self.steps.extend(engine.state.batch["step"].tolist())
        )

    def sent(self) -> ExchangeObject:
        return self.client.get_weights()

    def files(self) -> set[str]:
        made = {path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()}
        return {file for file in made if file.startswith(("models/", "eval/"))}


def federate(sites: list[Site]) -> list[Weights]:
    """Train in rounds with plain means in between, and return the global weights before and after every round."""
    course = [{key: value.clone() for key, value in sites[0].sent().weights.items()}]
    for _ in range(ROUNDS):
        for site in sites:
            site.client.train(ExchangeObject(weights=course[-1]))
        sent = [site.sent().weights for site in sites]
        course.append({key: (sent[0][key] + sent[1][key]) / 2 for key in course[0]})
    return course


class PlainSite:
    """A site's training as one loop over the config's dataset, network, loss and optimiser, without any engine."""

    def __init__(self, site: Site, course: list[tuple[str, float]]) -> None:
        parser = ConfigParser(ConfigParser.load_config_files([site.root / file for file in TRAIN]))
        for key, value in {**site.knobs, "bundle_root": str(site.root)}.items():
            parser[key] = value
        names = ("network", "optimizer", "loss", "train#dataset")
        self.network, self.optimizer, self.loss, self.dataset = (parser.get_parsed_content(name) for name in names)
        masks = "train#prepare_batch" in parser
        self.prepare = parser.get_parsed_content("train#prepare_batch") if masks else image_and_label
        self.course = course

    def train(self, weights: Weights, number: int) -> Weights:
        """Train the steps of one round."""
        self.network.load_state_dict(weights)
        self.network.train()
        length = len(self.course) // ROUNDS
        for step in range(number * length, (number + 1) * length):
            batch = default_collate([self.dataset[step + 1, position] for position in range(BATCH)])
            image, target, arguments, _ = self.prepare(batch, "cpu")
            self.optimizer.zero_grad()
            self.loss(self.network(image, *arguments), target).mean().backward()
            part, rate = self.course[step]
            for group in self.optimizer.param_groups:
                group["lr"] = rate
                for parameter in group["params"] if part not in ("all", group["name"]) else []:
                    parameter.grad = None
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12)
            self.optimizer.step()
        return {key: value.clone() for key, value in self.network.state_dict().items()}


def image_and_label(batch: dict[str, torch.Tensor], device: str) -> tuple[Any, ...]:
    return batch["image"], batch["label"], (), {}


def plainly(sites: list[Site], start: Weights, course: list[tuple[str, float]]) -> Weights:
    """Compute what `federate` ends with."""
    plain = [PlainSite(site, course) for site in sites]
    for number in range(ROUNDS):
        trained = [site.train(start, number) for site in plain]
        start = {key: torch.stack([one[key] for one in trained]).mean(0) for key in start}
    return start


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two sites' folders of scans."""
    folders = [tmp_path_factory.mktemp("scans") / name for name in ("north", "south")]
    for seed, folder in enumerate(folders):
        make_phantoms(str(folder), num_unlabelled=4, num_labelled=5, seed=seed)
    return folders


@pytest.fixture(scope="module")
def federation(scans, tmp_path_factory):
    """Both sites' pretraining, and the fine-tuning of what came of it: sites and course of the global weights."""
    work, done = tmp_path_factory.mktemp("federation"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        patch.chdir(work)
        for bundle, part, knobs in (
            (PRETRAIN, "unlabelled", {}),
            (SEGMENT, "labelled", {"num_folds": 2, "pretrained": str(work / "pretrained.pt")}),
        ):
            sites = [Site(work / folder.name, bundle, folder / part, **knobs) for folder in scans]
            done[bundle] = sites, federate(sites)
            torch.save({"model": done[bundle][1][-1]}, work / "pretrained.pt")
    return done


@pytest.mark.parametrize("bundle", [PRETRAIN, SEGMENT])
def test_only_the_networks_weights_are_exchanged(federation, bundle):
    sites, course = federation[bundle]
    configs = [ROOT / "bundles" / bundle / file for file in TRAIN]
    own = ConfigParser(ConfigParser.load_config_files(configs)).get_parsed_content("network_def").state_dict()
    for site in sites:
        sent = site.sent()
        assert sent.optim is None and list(sent.weights) == list(own)
        assert all(sent.weights[key].shape == own[key].shape for key in own)
    changed = [key for key in own if not torch.equal(course[0][key], course[-1][key])]
    assert len(changed) > 0.9 * len(own)


@pytest.mark.parametrize(("bundle", "steps"), [(PRETRAIN, PRETRAINING), (SEGMENT, FINE_TUNING)])
def test_two_rounds_equal_a_plain_loop(federation, bundle, steps):
    sites, course = federation[bundle]
    torch.testing.assert_close(plainly(sites, course[0], steps), course[-1], rtol=1e-4, atol=1e-6)
    for site in sites:  # the second round draws on
        assert site.steps == [step for step in range(1, len(steps) + 1) for _ in range(BATCH)]


def test_fine_tuning_starts_from_what_the_sites_pretrained(federation):
    course, pretrained = federation[SEGMENT][1], federation[PRETRAIN][1][-1]
    encoder = [key for key in course[0] if key.startswith("encoder.")]
    assert encoder and all(torch.equal(course[0][key], pretrained[f"network.{key}"]) for key in encoder)


@pytest.mark.parametrize(("bundle", "metric"), [(PRETRAIN, "val_reconstruction_error"), (SEGMENT, "mean_dsc")])
def test_sites_score_the_global_weights_on_their_own_cases(federation, bundle, metric):
    sites, course = federation[bundle]
    scores = []
    for site in sites:
        found = site.client.evaluate(ExchangeObject(weights=course[-1])).metrics
        scores.append(found[metric])
        evaluated = site.client.evaluator.network.state_dict()
        assert all(torch.equal(evaluated[key], value) for key, value in course[-1].items())
    assert all(map(math.isfinite, scores)) and scores[0] != scores[1]
    if bundle == SEGMENT:
        report = json.loads((sites[1].root / "eval" / "metrics.json").read_text())
        assert scores[1] == report["summary"]["mean"]["dsc"]["mean"]


@pytest.mark.parametrize(("bundle", "account"), [(PRETRAIN, "curation.csv"), (SEGMENT, "cases.csv")])
def test_a_sites_files_are_its_own(federation, scans, bundle, account):
    sites, course = federation[bundle]
    written = [torch.load(site.root / "models" / "model_final.pt", weights_only=True)["model"] for site in sites]
    for site, weights, here, elsewhere in zip(sites, written, scans, scans[::-1], strict=True):
        models = {file for file in site.files() if file.startswith("models/")}
        assert models == {f"models/{name}.pt" for name in ("model", "model_final", "training_state")}
        assert all(torch.equal(value, weights[key]) for key, value in site.sent().weights.items())
        listed = (site.root / "eval" / account).read_text()
        assert str(here) in listed and str(elsewhere) not in listed
    assert any(not torch.equal(written[0][key], written[1][key]) for key in course[-1])
    work = sites[0].root.parents[1]
    assert sorted(path.name for path in work.iterdir()) == ["north", "pretrained.pt", "south"]


def test_a_client_needs_nothing_but_the_bundles_folder(scans, tmp_path):
    """From another folder, with nothing on the path: MONAI initialises once before it knows where the bundle is."""
    shutil.copytree(ROOT / "bundles" / SEGMENT, tmp_path / "app" / SEGMENT)
    (tmp_path / "elsewhere").mkdir()
    knobs = {"dataset_dir": str(scans[0] / "labelled"), "num_folds": 2}
    out = run_python(
        "from monai.fl.client import MonaiAlgo\n"
        f"client = MonaiAlgo({SEGMENT!r}, config_train_filename={TRAIN}, config_evaluate_filename={EVALUATE},\n"
        f"    train_kwargs={knobs}, eval_kwargs={knobs}, send_weight_diff=False)\n"
        f"client.initialize({{'fl_app_root': {str(tmp_path / 'app')!r}}})\n"
        "print('sends', len(client.get_weights().weights), 'tensors')\n",
        tmp_path / "elsewhere",
    )
    assert "sends 104 tensors" in out
