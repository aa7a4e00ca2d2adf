"""The job folder for NVIDIA FLARE, without FLARE: what it holds, and that MONAI's client starts from it."""

from __future__ import annotations

import json

import pytest
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject

from scripts.errors import InputError
from scripts.networks import ResEncUNet, Spark3D
from tools.federate import main
from tools.project import ROOT
from tools.release import content

BUNDLE = "hippocampus_segmentation"
TINY = {"features": (4, 8), "num_blocks": (1, 1), "strides": (1, 2)}


@pytest.fixture
def pretrained(tmp_path):
    network = Spark3D(ResEncUNet(1, 1, **TINY), cell_size=(4, 4, 4))
    torch.save({"model": network.state_dict(), "plan": {"pretrained_on": ["scan"]}}, tmp_path / "mine.pt")
    return network.state_dict()


@pytest.fixture
def job(pretrained, phantoms, tmp_path):
    sites = {"north": str(phantoms / "labelled"), "south-2": "/data/of/theirs"}
    main(BUNDLE, sites, 3, str(tmp_path / "job"), epochs=2, preset="tiny", pretrained=str(tmp_path / "mine.pt"))
    return tmp_path / "job"


def read(path):
    return json.loads(path.read_text())


def test_every_site_gets_the_bundle_as_it_is_and_its_own_data(job):
    assert read(job / "meta.json")["deploy_map"] == {
        "app_server": ["server"], "app_north": ["north"], "app_south-2": ["south-2"]
    }  # fmt: skip
    root = ROOT / "bundles" / BUNDLE
    files = [path for path in content(root) if path.parts[0] != "models"]
    for site in ("north", "south-2"):
        folder = job / f"app_{site}" / "custom"
        made = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        assert made == files and all((folder / file).read_bytes() == (root / file).read_bytes() for file in files)
    (algorithm,) = read(job / "app_south-2" / "config" / "config_fed_client.json")["components"]
    assert algorithm["args"]["train_kwargs"]["dataset_dir"] == "/data/of/theirs"
    assert str(job.parent) not in json.dumps(algorithm)
    assert algorithm["args"]["train_kwargs"]["rounds"] == 3 and algorithm["args"]["local_epochs"] == 2


def test_the_server_starts_from_the_pretrained_encoder(job, pretrained):
    start = torch.load(job / "app_server" / "custom" / "initial.pt", weights_only=True)
    own = ResEncUNet(1, 3, **TINY).state_dict()
    assert list(start["model"]) == list(own)
    encoder = [key for key in own if key.startswith("encoder.")]
    assert all(torch.equal(start["model"][key], pretrained[f"network.{key}"]) for key in encoder)
    assert start["plan"]["pretrained"] == "mine.pt"
    assert start["plan"]["steps"] == 3 * 2 * 4 and start["plan"]["network"]["features"] == [4, 8]
    assert start["plan"]["pretrained_on"] == ["scan"]
    config = read(job / "app_server" / "config" / "config_fed_server.json")
    assert config["workflows"][0]["args"] | {"num_rounds": 3, "min_clients": 2} == config["workflows"][0]["args"]
    assert str(job.parent) not in json.dumps(config)


def test_the_better_score_is_the_smaller_error_and_the_larger_dice(job, tmp_path):
    main("spark3d_pretrain", {"north": "/data"}, 1, str(tmp_path / "other"), preset="tiny")
    for folder, falling, metric in (
        (job, False, "val_mean_dice"), (tmp_path / "other", True, "val_reconstruction_error")
    ):  # fmt: skip
        selector = read(folder / "app_server" / "config" / "config_fed_server.json")["components"][-1]
        assert selector["args"]["negate_key_metric"] is falling
        (executor,) = read(folder / "app_north" / "config" / "config_fed_client.json")["executors"]
        assert executor["executor"]["args"]["key_metric"] == metric


def test_monais_client_starts_from_it_without_the_pretrained_file(job, tmp_path):
    (tmp_path / "mine.pt").unlink()
    (algorithm,) = read(job / "app_north" / "config" / "config_fed_client.json")["components"]
    client = MonaiAlgo(**algorithm["args"])
    client.initialize({ExtraItems.CLIENT_NAME: "north", ExtraItems.APP_ROOT: str(job / "app_north")})
    start = torch.load(job / "app_server" / "custom" / "initial.pt", weights_only=True)["model"]
    assert 0 <= client.evaluate(ExchangeObject(weights=start)).metrics["val_mean_dice"] <= 1
    schedule = [phase[0] for phase in client.train_workflow.parser.get_parsed_content("phases")]
    assert schedule == ["decoder", "all", "all"]  # of a pretrained network
    assert client.train_workflow.parser.get_parsed_content("seen_before") == {"pretrained_on": ["scan"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bundle": "no_such"}, "there is no bundles/no_such/configs/train.json"),
        ({"bundle": "brats_mets_evaluation"}, "there is no .*configs/train.json: name a bundle that trains"),
        ({"preset": "huge"}, "there is no .*configs/huge.json"),
        ({"batchsize": 4}, "has no knob batchsize"),
        ({"sites": "north"}, "sites is 'north': give the data by site"),
        ({"sites": {}}, "give the data by site"),
        ({"sites": {"../north": "/data"}}, "give the data by site"),
        ({"sites": {1: "/data", 2: "/scans"}}, "sites is {1: .*give the data by site, such as"),
        ({"sites": {"server": "/data"}}, "give the data by site"),
        ({"output_dir": str(ROOT)}, "exists: name another --output_dir"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, arguments, message):
    given = {"bundle": BUNDLE, "sites": {"north": "/data"}, "rounds": 2, "output_dir": str(tmp_path / "job")}
    with pytest.raises(InputError, match=message):
        main(**{**given, **arguments})
    assert not list(tmp_path.iterdir())
