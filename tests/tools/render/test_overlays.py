from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from tests.tools.render.toy_project import CARD, TRAIN, changed, config, write_card
from tools.render.overlays import chained, overlaid


def test_merge_equals_monai_loading_template_and_sections_from_files(tmp_path: Path) -> None:
    layers = [CARD["common"], CARD["train"]]
    files = [tmp_path / f"{number}.json" for number in range(3)]
    for file, content in zip(files, [TRAIN, *layers], strict=True):
        file.write_text(json.dumps(content))
    assert overlaid(TRAIN, layers, "test") == ConfigParser.load_config_files(files)


def test_merging_leaves_template_and_card_unchanged() -> None:
    base, layer = copy.deepcopy(TRAIN), {"+train#handlers": [7], "network_def#strides": [1]}
    before = copy.deepcopy((base, layer))
    overlaid(base, [layer, {"+network_def#strides": [4]}], "test")
    assert (base, layer) == before


@pytest.mark.parametrize(
    "second",
    [
        {"+train#handlers": [3]},
        {"train#handlers": [9]},
        {"train": {"handlers": [4]}},
        {"max_epochs": 8, "+network_def": {"dropout": 0.5}},
        {"train#handlers#0": 6, "+train#trainer": {"amp": True}},
    ],
)
def test_a_joined_overlay_does_what_both_do_in_turn(second: dict[str, Any]) -> None:
    first = {"+train#handlers": [2], "train#trainer#max_epochs": 1, "max_epochs": 2}
    in_turn = overlaid(overlaid(TRAIN, [first], ""), [second], "")
    assert overlaid(TRAIN, [chained(first, second)], "") == in_turn


def test_macros_become_copies_of_the_template_which_common_reaches_once(project: Path) -> None:
    write_card(project, changed(common={"+network_def#strides": [4]}, train={"network_def#dropout": 0.5}))
    assert config(project, "train")["network_def"]["strides"] == [2, 2, 4]
    assert config(project, "inference")["network_def"]["strides"] == [2, 2, 4]
    assert "dropout" not in config(project, "inference")["network_def"]
