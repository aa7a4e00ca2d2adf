from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import InputError
from tests.tools.render.toy_project import CARD, add_networks, changed, config, write_card
from tools.render.__main__ import main
from tools.render.bundle import render


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (changed(train={"optimiser#lr": 1}), "toy_segmentation, train: id 'optimiser#lr'"),
        (changed(inference={"network_def#act#name": 1}), "toy_segmentation, inference: id 'network_def#act#name'"),
        (changed(common={"+network_def#norm": {}}), r"train: '\+network_def#norm' must extend"),
        (changed(train={"+train#handlers": {"a": 1}}), r"train: '\+train#handlers' must extend"),
        (changed(evaluate={"test#handlers": 1}), "toy_segmentation, evaluate over train: id 'test#handlers'"),
        (changed(presets={"tiny": {"a#b": 1}}), "toy_segmentation, preset tiny over train: id 'a#b'"),
        (changed(presets={"tiny": {"train#trainer#amp": 1}}), "preset tiny over inference: id 'train#trainer#amp'"),
        (changed(presets={"evaluate": {}}), "preset name evaluate is taken"),
        (changed(trian={}), r"unknown \['trian'\]"),
        (changed(name="other"), "its name is 'other'"),
        (changed(template="detection"), "template 'detection'"),
        (changed(train={"warmth": 1}), "describe warmth in"),
        (changed(docs={"overview": "no more"}), "docs/README.md needs more from the card"),
        (changed(dataset=CARD["dataset"] | {"labels": {"background": 0, "head": 2}}), "numbered 0, 1, 2"),
        (changed(dataset=CARD["dataset"] | {"channel_names": {"1": "T1"}}), "numbered 0, 1, 2"),
    ],
)
def test_mistakes_in_a_card_are_told_in_one_line(project: Path, card: dict[str, Any], message: str) -> None:
    write_card(project, card)
    with pytest.raises(InputError, match=message) as told:
        main(root=str(project))
    assert "\n" not in str(told.value)
    assert not (project / "bundles" / "toy_segmentation" / "configs").exists()


def test_unknown_bundle_and_broken_json_are_told(project: Path) -> None:
    with pytest.raises(InputError, match="no bundle 'toi'.*there are toy_segmentation"):
        main("toi", root=str(project))
    (project / "bundles" / "toy_segmentation" / "card.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        main(root=str(project))


def test_a_card_takes_presets_and_texts_of_its_template(project: Path) -> None:
    add_networks(project)
    folder = project / "tools" / "templates" / "segmentation"
    (folder / "presets").mkdir()
    tiny = {"purpose": "for a toaster", "overlay": {"max_epochs": 1, "network_def#strides": [2]}}
    (folder / "presets" / "unet.json").write_text(json.dumps({"tiny": tiny, "large": tiny}))
    docs = {"networks": {"unet": "a U-Net"}, "performance": {"text": "Unknown.", "rows": []}, "references": ["Ours."]}
    (folder / "docs.json").write_text(json.dumps(docs))
    own = {key: text for key, text in CARD["docs"].items() if key not in ("presets", "performance", "references")}
    presets = {"tiny": {"max_epochs": 2}, "mine": {"max_epochs": 9}}
    card = changed(network="unet", presets=presets, docs=own | {"presets": {"mine": "for me"}}, common={})
    write_card(project, card)
    assert config(project, "tiny") == {"network_def#strides": [2], "max_epochs": 2}
    assert config(project, "mine") == {"max_epochs": 9}
    text = render("toy_segmentation", project)["docs/README.md"]
    assert "| `configs/tiny.json` | for a toaster |" in text and "| `configs/mine.json` | for me |" in text
    assert "Unknown." in text and "1. Ours.\n2. nobody" in text and "large.json" not in text
    assert "The network is a U-Net or another" in text
