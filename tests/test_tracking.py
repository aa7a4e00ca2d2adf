"""What `--tracking scripts/mlflow.json` adds to a training; MLflow itself is no requirement."""

from __future__ import annotations

import copy

import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.handlers import MLFlowHandler

from tools.project import ROOT, bundle_names


def test_mlflow_follows_every_training_and_its_validation() -> None:
    settings = ConfigParser.load_config_file(ROOT / "bundles" / "scripts" / "mlflow.json")
    trained = [name for name in bundle_names(ROOT) if (ROOT / "bundles" / name / "configs" / "train.json").is_file()]
    assert len(trained) > 8
    for name in trained:
        train = ConfigParser.load_config_file(ROOT / "bundles" / name / "configs" / "train.json")
        parser = ConfigParser(copy.deepcopy(train) | {"save_execute_config": False})
        ConfigWorkflow.patch_bundle_tracking(parser, settings)
        # at the end, where several GPUs leave out what one of them is to do
        assert [parser[f"{part}#handlers"][-1]["_target_"] for part in ("train", "validate")] == ["MLFlowHandler"] * 2
        assert parser["train#handlers"][:-1] == train["train"]["handlers"]


def test_the_loss_is_taken_from_an_output_that_is_not_decollated() -> None:
    settings = ConfigParser.load_config_file(ROOT / "bundles" / "scripts" / "mlflow.json")["configs"]
    transform = ConfigParser({"it": settings["trainer"]["output_transform"]}).get_parsed_content("it")
    assert transform({"loss": torch.tensor(0.5), "pred": None}) == 0.5
    assert settings["trainer"]["_target_"] == MLFlowHandler.__name__
