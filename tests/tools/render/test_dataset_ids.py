from __future__ import annotations

import json
from pathlib import Path

from tests.tools.render.toy_project import CARD, changed, config, write_card
from tools.render.dataset_ids import ids_of_dataset


def test_metadata_take_pins_labels_and_channels(project: Path) -> None:
    metadata = config(project, "metadata")
    lines = [line.partition(";")[0] for line in (project / "requirements.txt").read_text().splitlines()]
    pins = dict(line.split("==") for line in lines if "==" in line)
    found = metadata["required_packages_version"] | {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    }
    assert found == {package: pins[package] for package in found}
    assert {"nibabel", "pytorch-ignite", "fire", "dynamic-network-architectures"} <= set(found)
    assert not {"ruff", "pytest", "jinja2"} & set(found)
    assert metadata["name"] == "Toy segmentation" and metadata["authors"] == "us"
    formats = metadata["network_data_format"]
    assert formats["inputs"]["image"] == {"num_channels": 2, "channel_def": {"0": "T1", "1": "T2"}}
    labels = {"0": "background", "1": "head", "2": "tail"}
    assert formats["outputs"]["pred"] == {"num_channels": 3, "channel_def": labels}


def test_a_pretraining_card_sets_channels_only() -> None:
    card = changed(template="pretrain")
    assert ids_of_dataset(card)["train"] == {"channels": ["T1", "T2"]}


def test_regions_lay_the_templates_variant_below_the_card(project: Path) -> None:
    variant = {"common": {"max_epochs": 8, "patch_size": [4, 4, 4]}, "train": {"network_def#act": "sigmoid"}}
    (project / "tools/templates/segmentation/regions.json").write_text(json.dumps(variant))
    assert config(project, "train")["patch_size"] == [8, 8, 8]  # a card without regions is left alone
    regions = {"regions": {"whole": [1, 2], "end": 2}, "regions_class_order": [1, 2]}
    write_card(project, changed(dataset=CARD["dataset"] | regions))
    train, inference, metadata = (config(project, name) for name in ("train", "inference", "metadata"))
    assert train["regions"] == inference["regions"] == regions["regions"] and train["regions_class_order"] == [1, 2]
    assert train["patch_size"] == inference["patch_size"] == [4, 4, 4] and train["network_def"]["act"] == "sigmoid"
    assert train["max_epochs"] == 5 and train["network_def"]["out_channels"] == "$len(@regions)"
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {"0": "whole", "1": "end"}
