from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from scripts.errors import InputError
from tests.tools.render.toy_project import CARD, TRAIN, add_networks, changed, config, write_card
from tools.render.bundle import render


def test_train_equals_a_merge_by_hand(project: Path) -> None:
    expected = copy.deepcopy(TRAIN)
    expected["network_def"]["strides"] = [2, 2, 2]
    expected["train"]["transforms"] = [{"_target_": "RandFlipd"}, {"_target_": "RandZoomd"}]
    expected |= {"channels": ["T1", "T2"], "labels": {"background": 0, "head": 1, "tail": 2}, "max_epochs": 5}
    assert config(project, "train") == expected
    assert list(config(project, "train")["labels"].values()) == [0, 1, 2]


def test_common_and_dataset_reach_inference_but_train_does_not(project: Path) -> None:
    inference = config(project, "inference")
    assert inference["network_def"] == {"_target_": "UNet", "in_channels": 1, "out_channels": 2, "strides": [2, 2, 2]}
    assert inference["labels"] == {"background": 0, "head": 1, "tail": 2}
    assert "max_epochs" not in inference and "train" not in inference


def test_the_card_chooses_the_default_network_and_the_others_become_overlays(project: Path) -> None:
    add_networks(project)
    own = {"vit": {"network_def#depth": 3}, "unet": {"patch_size": [4, 4, 4]}}
    write_card(project, changed(network="vit", networks=own, common={}, presets={}, evaluate={}))
    assert config(project, "train")["network_def"] == {"_target_": "ViT", "depth": 3}
    inference = config(project, "inference")
    assert inference["network_def"]["_target_"] == "ViT" and "optimizer" not in inference
    unet = {"_target_": "UNet", "in_channels": 1, "out_channels": 2, "strides": [2, 2]}
    assert config(project, "unet") == {"network_def": unet, "optimizer": "SGD", "patch_size": [4, 4, 4]}
    assert "configs/vit.json" not in render("toy_segmentation", project)
    assert "configs/unet.json" in render("toy_segmentation", project)["docs/README.md"]


def test_an_unknown_network_is_refused(project: Path) -> None:
    add_networks(project)
    for sections in ({"network": "gan"}, {"network": "vit", "networks": {"gan": {}}}):
        write_card(project, changed(**sections))
        with pytest.raises(InputError, match="network gan is not one of unet, vit"):
            config(project, "train")


def test_overlay_files_keep_their_ids_for_run_time(project: Path) -> None:
    assert config(project, "evaluate") == {
        "validate": {"handlers": [0]},
        "+validate#handlers": [10, 20],
        "train#trainer#max_epochs": 0,
    }
    assert config(project, "tiny") == CARD["presets"]["tiny"]


def test_text_is_what_monai_exports(project: Path, tmp_path: Path) -> None:
    text = render("toy_segmentation", project)["configs/train.json"]
    ConfigParser.export_config_file(json.loads(text), tmp_path / "exported.json", indent=4)
    assert text == (tmp_path / "exported.json").read_text() + "\n"
