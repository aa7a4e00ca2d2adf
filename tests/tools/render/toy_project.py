"""A project of one template and one card."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

from tools.project import ROOT
from tools.render.bundle import render
from tools.render.bundle_table import BEGIN, END

TRAIN = {
    "imports": ["$import os"],
    "bundle_root": ".",
    "device": "$torch.device('cpu')",
    "max_epochs": 3,
    "patch_size": [8, 8, 8],
    "channels": [],
    "network_def": {"_target_": "UNet", "in_channels": 1, "out_channels": 2, "strides": [2, 2]},
    "train": {"transforms": [{"_target_": "RandFlipd"}], "trainer": {"max_epochs": "@max_epochs"}, "handlers": [1]},
}
METADATA = {
    "schema": "https://example.org/schema.json",
    "network_data_format": {
        "inputs": {"image": {"num_channels": 9, "channel_def": {}}},
        "outputs": {"pred": {"num_channels": 9, "channel_def": {}}},
    },
}
CARD: dict[str, Any] = {
    "template": "segmentation",
    "name": "toy_segmentation",
    "title": "Toy segmentation",
    "dataset": {
        "name": "Toy",
        "description": "boxes",
        "reference": "nobody",
        "access": "toy shop",
        "licence": "CC0",
        "licence_text": "Free to use.\n\n",
        "channel_names": {"1": "T2", "0": "T1"},
        "labels": {"head": 1, "background": 0, "tail": 2},
    },
    "common": {"network_def#strides": [2, 2, 2]},
    "train": {"max_epochs": 5, "+train#transforms": [{"_target_": "RandZoomd"}]},
    "evaluate": {"+validate#handlers": [20]},
    "metadata": {"version": "0.1.0", "changelog": {"0.1.0": "first"}, "authors": "us"},
    "presets": {"tiny": {"max_epochs": 1, "network_def#strides": [2]}},
    "docs": {
        "overview": "Segments boxes.",
        "data": "Ten boxes.",
        "training": "Dice.",
        "resources": [{"setting": "default", "device": "CPU", "seconds per step": "0.1"}],
        "presets": {"tiny": "for tests"},
        "input": "T1 and T2.",
        "output": "Labels.",
        "performance": {"text": "Not measured yet.", "rows": []},
        "limits": ["Boxes only."],
        "references": ["A paper."],
    },
}


def make_project(tmp_path: Path) -> None:
    """A project with one template and one card, besides the real common templates and pins."""
    templates = tmp_path / "tools" / "templates"
    shutil.copytree(ROOT / "tools" / "templates" / "common", templates / "common")
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    (tmp_path / "README.md").write_text(f"# Toys\n\n{BEGIN}\n{END}\n\nMore.\n")
    (templates / "segmentation").mkdir()
    for path in (ROOT / "tools/templates/segmentation").glob("*.md.j2"):
        shutil.copy(path, templates / "segmentation")
    contents = {
        "train": TRAIN,
        "inference": {"bundle_root": ".", "patch_size": [8, 8, 8], "network_def": "%train.json::network_def"},
        "evaluate": {"validate": {"handlers": [0]}, "+validate#handlers": [10], "train#trainer#max_epochs": 0},
        "multi_gpu_train": {"device": "$torch.device('cuda')", "train#handlers#0": 2},
        "metadata": METADATA,
    }
    for name, content in contents.items():
        (templates / "segmentation" / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "bundles" / "scripts").mkdir(parents=True)
    (tmp_path / "bundles" / "scripts" / "__init__.py").touch()
    write_card(tmp_path, CARD)


def write_card(project: Path, card: dict[str, Any]) -> None:
    folder = project / "bundles" / "toy_segmentation"
    folder.mkdir(exist_ok=True)
    (folder / "card.json").write_text(json.dumps(card))


def add_networks(project: Path) -> None:
    folder = project / "tools" / "templates" / "segmentation" / "networks"
    folder.mkdir()
    unet, vit = {"_target_": "UNet", "in_channels": 1, "out_channels": 2, "strides": [2, 2]}, {"_target_": "ViT"}
    (folder.parent / "docs.json").write_text(json.dumps({"networks": {"unet": "a U-Net", "vit": "a ViT"}}))
    (folder / "unet.json").write_text(json.dumps({"network_def": unet, "optimizer": "SGD"}))
    (folder / "vit.json").write_text(json.dumps({"network_def": vit, "optimizer": "AdamW"}))


def changed(**sections: Any) -> dict[str, Any]:
    return copy.deepcopy(CARD) | sections


def config(project: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(render("toy_segmentation", project)[f"configs/{name}.json"])
    return content
