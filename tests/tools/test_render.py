from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from scripts.errors import InputError
from tools import render
from tools.bundle_table import BEGIN, END

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


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one template and one card, besides the real common templates and pins."""
    templates = tmp_path / "tools" / "templates"
    shutil.copytree(render.ROOT / "tools" / "templates" / "common", templates / "common")
    shutil.copy(render.ROOT / "requirements.txt", tmp_path)
    (tmp_path / "README.md").write_text(f"# Toys\n\n{BEGIN}\n{END}\n\nMore.\n")
    (templates / "segmentation").mkdir()
    for path in (render.ROOT / "tools/templates/segmentation").glob("*.md.j2"):
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
    return tmp_path


def write_card(project: Path, card: dict[str, Any]) -> None:
    folder = project / "bundles" / "toy_segmentation"
    folder.mkdir(exist_ok=True)
    (folder / "card.json").write_text(json.dumps(card))


def changed(**sections: Any) -> dict[str, Any]:
    return copy.deepcopy(CARD) | sections


def config(project: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(render.render("toy_segmentation", project)[f"configs/{name}.json"])
    return content


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


def add_networks(project: Path) -> None:
    folder = project / "tools" / "templates" / "segmentation" / "networks"
    folder.mkdir()
    unet, vit = {"_target_": "UNet", "in_channels": 1, "out_channels": 2, "strides": [2, 2]}, {"_target_": "ViT"}
    (folder.parent / "docs.json").write_text(json.dumps({"networks": {"unet": "a U-Net", "vit": "a ViT"}}))
    (folder / "unet.json").write_text(json.dumps({"network_def": unet, "optimizer": "SGD"}))
    (folder / "vit.json").write_text(json.dumps({"network_def": vit, "optimizer": "AdamW"}))


def test_the_card_chooses_the_default_network_and_the_others_become_overlays(project: Path) -> None:
    add_networks(project)
    own = {"vit": {"network_def#depth": 3}, "unet": {"patch_size": [4, 4, 4]}}
    write_card(project, changed(network="vit", networks=own, common={}, presets={}, evaluate={}))
    assert config(project, "train")["network_def"] == {"_target_": "ViT", "depth": 3}
    inference = config(project, "inference")
    assert inference["network_def"]["_target_"] == "ViT" and "optimizer" not in inference
    unet = {"_target_": "UNet", "in_channels": 1, "out_channels": 2, "strides": [2, 2]}
    assert config(project, "unet") == {"network_def": unet, "optimizer": "SGD", "patch_size": [4, 4, 4]}
    assert "configs/vit.json" not in render.render("toy_segmentation", project)
    assert "configs/unet.json" in render.render("toy_segmentation", project)["docs/README.md"]


def test_an_unknown_network_is_refused(project: Path) -> None:
    add_networks(project)
    for sections in ({"network": "gan"}, {"network": "vit", "networks": {"gan": {}}}):
        write_card(project, changed(**sections))
        with pytest.raises(InputError, match="network gan is not one of unet, vit"):
            config(project, "train")


def test_macros_become_copies_of_the_template_which_common_reaches_once(project: Path) -> None:
    write_card(project, changed(common={"+network_def#strides": [4]}, train={"network_def#dropout": 0.5}))
    assert config(project, "train")["network_def"]["strides"] == [2, 2, 4]
    assert config(project, "inference")["network_def"]["strides"] == [2, 2, 4]
    assert "dropout" not in config(project, "inference")["network_def"]


def test_merge_equals_monai_loading_template_and_sections_from_files(tmp_path: Path) -> None:
    layers = [CARD["common"], CARD["train"]]
    files = [tmp_path / f"{number}.json" for number in range(3)]
    for file, content in zip(files, [TRAIN, *layers], strict=True):
        file.write_text(json.dumps(content))
    assert render.overlaid(TRAIN, layers, "test") == ConfigParser.load_config_files(files)


def test_merging_leaves_template_and_card_unchanged() -> None:
    base, layer = copy.deepcopy(TRAIN), {"+train#handlers": [7], "network_def#strides": [1]}
    before = copy.deepcopy((base, layer))
    render.overlaid(base, [layer, {"+network_def#strides": [4]}], "test")
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
    in_turn = render.overlaid(render.overlaid(TRAIN, [first], ""), [second], "")
    assert render.overlaid(TRAIN, [render.chained(first, second)], "") == in_turn


def test_overlay_files_keep_their_ids_for_run_time(project: Path) -> None:
    assert config(project, "evaluate") == {
        "validate": {"handlers": [0]},
        "+validate#handlers": [10, 20],
        "train#trainer#max_epochs": 0,
    }
    assert config(project, "tiny") == CARD["presets"]["tiny"]


def test_metadata_take_pins_labels_and_channels(project: Path) -> None:
    metadata = config(project, "metadata")
    pins = dict(line.split("==") for line in (project / "requirements.txt").read_text().splitlines() if "==" in line)
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
    assert render.ids_of_dataset(card)["train"] == {"channels": ["T1", "T2"]}


def test_text_is_what_monai_exports(project: Path, tmp_path: Path) -> None:
    text = render.render("toy_segmentation", project)["configs/train.json"]
    ConfigParser.export_config_file(json.loads(text), tmp_path / "exported.json", indent=4)
    assert text == (tmp_path / "exported.json").read_text() + "\n"


def test_model_card_tells_knobs_presets_and_no_more_figures_than_the_card(project: Path) -> None:
    text = render.render("toy_segmentation", project)["docs/README.md"]
    assert "| `max_epochs` | `5` |" in text
    assert "| `device` | `\"$torch.device('cpu')\"` |" in text
    assert "`network_def`" not in text.split("## Knobs")[1]
    assert "['configs/train.json','configs/tiny.json']" in text
    assert "| setting | device | seconds per step |\n| --- | --- | --- |\n| default | CPU | 0.1 |" in text
    assert "Not measured yet.\n\n## Commands" in text
    assert '--input_shape "[1, 2, 8, 8, 8]"' in text
    assert "\n\n\n" not in text


def test_writing_twice_changes_nothing_and_check_is_silent(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render.main(root=str(project))
    bundle = project / "bundles" / "toy_segmentation"
    files = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    assert (bundle / "docs" / "data_license.txt").read_text() == "Free to use.\n"
    assert (bundle / "scripts").readlink() == Path("../scripts")
    assert (bundle / "scripts" / "__init__.py").is_file()
    capsys.readouterr()
    render.main(root=str(project))
    render.main(root=str(project), check=True)
    assert capsys.readouterr().out == ""
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == files


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


def test_splits_come_and_go_with_the_card(project: Path) -> None:
    lists = {"paper": {"description": "a paper", "train": ["a", "b"], "test": ["c"]}}
    write_card(project, changed(splits=lists))
    render.main(root=str(project))
    written = project / "bundles/toy_segmentation/splits/paper.json"
    assert json.loads(written.read_text()) == lists["paper"]
    assert "| `paper` | 2 | 1 | a paper |" in (written.parents[1] / "docs/README.md").read_text()
    write_card(project, CARD)
    assert render.differences("toy_segmentation", project)["splits/paper.json"] is None
    render.main(root=str(project))
    assert not written.exists()


def test_check_lists_every_stale_file_and_writes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render.main(root=str(project))
    bundle = project / "bundles" / "toy_segmentation"
    (bundle / "configs" / "train.json").write_text("{}")
    (bundle / "LICENSE").unlink()
    (bundle / "scripts").unlink()
    write_card(project, changed(presets={"small": {}}, docs=CARD["docs"] | {"presets": {"small": "less"}}))
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        render.main("toy_segmentation", check=True, root=str(project))
    listed = {line.rpartition("toy_segmentation/")[2] for line in capsys.readouterr().out.splitlines()}
    assert isinstance(stop.value.code, str) and "make render" in stop.value.code  # a text means exit code 1
    configs = {"configs/train.json", "configs/small.json", "configs/tiny.json"}
    assert listed == {"LICENSE", "scripts", "docs/README.md"} | configs
    assert (bundle / "configs" / "train.json").read_text() == "{}"
    assert (bundle / "configs" / "tiny.json").is_file() and not (bundle / "LICENSE").exists()
    render.main(root=str(project))
    assert not (bundle / "configs" / "tiny.json").exists() and (bundle / "configs" / "small.json").is_file()
    assert render.differences("toy_segmentation", project) == {}


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
        render.main(root=str(project))
    assert "\n" not in str(told.value)
    assert not (project / "bundles" / "toy_segmentation" / "configs").exists()


def test_unknown_bundle_and_broken_json_are_told(project: Path) -> None:
    with pytest.raises(InputError, match="no bundle 'toi'.*there are toy_segmentation"):
        render.main("toi", root=str(project))
    (project / "bundles" / "toy_segmentation" / "card.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        render.main(root=str(project))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.json"
    render.write(target, b"old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="No space"):
        render.write(target, b"new")
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_the_readmes_table_follows_the_cards(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = project / "README.md"
    pretraining = project / "bundles" / "toy_pretrain"
    pretraining.mkdir()
    (pretraining / "card.json").write_text(json.dumps(changed(name="toy_pretrain", pretrains="toy_segmentation")))
    with pytest.raises(SystemExit):
        render.main(root=str(project), check=True)
    assert "stale: README.md" in capsys.readouterr().out and "|" not in readme.read_text()
    render.main(root=str(project))
    text = readme.read_text()
    assert text.startswith("# Toys\n") and text.endswith("\n\nMore.\n")
    row = "| [toy_segmentation](bundles/toy_segmentation/docs/README.md) | Toy | MRI: T1, T2 | head, tail | ViT | "
    assert f"{row}`toy_pretrain` | toy shop | CC0 |" in text
    assert (
        "| [toy_pretrain](bundles/toy_pretrain/docs/README.md) | Toy segmentation | Toy | `toy_segmentation` |" in text
    )
    render.main(root=str(project), check=True)
    readme.write_text(f"{END} {BEGIN}")
    with pytest.raises(InputError, match="README.md needs the lines"):
        render.main(root=str(project))


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
    text = render.render("toy_segmentation", project)["docs/README.md"]
    assert "| `configs/tiny.json` | for a toaster |" in text and "| `configs/mine.json` | for me |" in text
    assert "Unknown." in text and "1. Ours.\n2. nobody" in text and "large.json" not in text
    assert "The network is a U-Net or another" in text
