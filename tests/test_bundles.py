from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, verify_metadata
from monai.bundle.workflows import _reject_executable_logging_config

from tools.project import ROOT, bundle_names
from tools.render.stale import differences
from tools.zoo_check.metadata import SCHEMA

BUNDLES = [ROOT / "bundles" / name for name in bundle_names(ROOT)]
IDS_OF_TRAIN = """
    bundle_root dataset_dir output_dir ckpt_dir device seed patch_size batch_size max_epochs steps_per_epoch
    val_interval num_workers amp pretrained resume network_def
    train#trainer#max_epochs train#dataset#data train#handlers train#inferer
    validate#evaluator validate#dataset#data validate#handlers
"""
IDS_OF_INFERENCE = """
    bundle_root dataset_dir output_dir ckpt_dir device seed network_def
    inferer dataset#data evaluator preprocessing handlers
"""
IDS_OF_EVALUATION = """
    bundle_root dataset_dir output_dir ckpt_dir device seed patch_size num_workers amp network_def
    validate#evaluator validate#dataset#data validate#handlers
"""
SEGMENTING = ("segmentation", "evaluation")  # templates
TRAINING = ["configs/train.json", "configs/multi_gpu_train.json"]  # but for bundles that only evaluate
FILES = [
    *(f"configs/{name}.json" for name in ("metadata", "evaluate", "inference")),
    "configs/logging.conf",
    "docs/README.md",
    "docs/data_license.txt",
    "LICENSE",
    "card.json",
    "scripts/__init__.py",
]

NETWORKS = [  # every network of every bundle that has a choice: its configs, the default one's are none
    (bundle, [name] if name != card["network"] else [])
    for bundle, card in ((bundle, json.loads((bundle / "card.json").read_text())) for bundle in BUNDLES)
    if "network" in card
    for name in ("resenc", "unetr", "nnformer")
]

every_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)


def config(bundle: Path, *names: str) -> dict[str, Any]:
    content: dict[str, Any] = ConfigParser.load_config_files([bundle / "configs" / f"{name}.json" for name in names])
    return content


def segments_several_channels(bundle: Path) -> bool:
    template = json.loads((bundle / "card.json").read_text())["template"]
    return template in SEGMENTING and len(config(bundle, "inference")["channels"]) > 1


SEVERAL_CHANNELS = [bundle for bundle in BUNDLES if segments_several_channels(bundle)]


def main_workflow(bundle: Path) -> str:
    """The workflow that has the data and the network: training, or evaluation where nothing is trained."""
    return "train" if (bundle / "configs" / "train.json").is_file() else "evaluate"


TRAINED = [bundle for bundle in BUNDLES if main_workflow(bundle) == "train"]


def test_there_are_bundles() -> None:
    assert {"spark3d_pretrain", "hippocampus_segmentation"} <= {bundle.name for bundle in BUNDLES}


@every_bundle
def test_files_are_present_and_what_the_card_says(bundle: Path) -> None:
    wanted = FILES if bundle.name.endswith("_evaluation") else FILES + TRAINING
    assert [file for file in wanted if not (bundle / file).is_file()] == []
    assert differences(bundle.name) == {}


@every_bundle
def test_metadata_pass_the_schema_and_agree_with_themselves(bundle: Path) -> None:
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(SCHEMA))
    metadata = config(bundle, "metadata")
    assert metadata["version"] in metadata["changelog"]
    formats = metadata["network_data_format"]
    for tensor in [*formats["inputs"].values(), *formats["outputs"].values()]:
        assert list(tensor["channel_def"]) == [str(channel) for channel in range(tensor["num_channels"])]
    assert list(formats["inputs"]) == ["image"] and list(formats["outputs"]) == ["pred"]  # all that MONAI reads


@every_bundle
def test_labels_and_channels_agree_everywhere(bundle: Path) -> None:
    formats = config(bundle, "metadata")["network_data_format"]
    for workflow in (main_workflow(bundle), "inference"):
        content = config(bundle, workflow)
        channels = content["channels"]
        channels = [channels[number] for number in content.get("used_channels") or range(len(channels))]
        assert channels == list(formats["inputs"]["image"]["channel_def"].values())
        if "labels" in content:
            defined = formats["outputs"]["pred"]["channel_def"]
            assert list(content.get("regions", content["labels"])) == list(defined.values())
            assert list(content["labels"].values()) == list(range(len(content["labels"])))
            assert sorted(content.get("regions_class_order", [])) == [*range(1, 1 + len(content.get("regions", [])))]
            parser = ConfigParser(content)
            assert parser.get_parsed_content("network_def#out_channels") == len(defined)
            assert parser.get_parsed_content("network_def#in_channels") == len(channels)


@pytest.mark.parametrize("bundle, overlay", NETWORKS, ids=lambda value: getattr(value, "name", None))
def test_every_network_takes_the_patch_and_has_the_channels(bundle: Path, overlay: list[str]) -> None:
    for workflow in (main_workflow(bundle), "inference"):
        parser = ConfigParser(config(bundle, workflow, *overlay))
        with torch.device("meta"):
            network = parser.get_parsed_content("network_def")
        network.check_patch(parser.get_parsed_content("patch_size"))
        formats = config(bundle, "metadata")["network_data_format"]
        expected = (formats["inputs"]["image"]["num_channels"], formats["outputs"]["pred"]["num_channels"])
        assert (network.in_channels, network.out_channels) == expected


@every_bundle
def test_workflows_hold_the_ids_their_readers_want(bundle: Path) -> None:
    workflow = main_workflow(bundle)
    main, inference = ConfigParser(config(bundle, workflow)), ConfigParser(config(bundle, "inference"))
    wanted = {"train": IDS_OF_TRAIN, "evaluate": IDS_OF_EVALUATION}[workflow]
    assert [id_ for id_ in wanted.split() if id_ not in main] == []
    assert [id_ for id_ in IDS_OF_INFERENCE.split() if id_ not in inference] == []
    # MONAI Label looks into these: a list of components, and dicts
    handlers = main["train#handlers" if workflow == "train" else "validate#handlers"]
    assert all(isinstance(handler, dict) for handler in handlers)
    assert isinstance(main["network_def"], dict) and isinstance(inference["network_def"], dict)


@every_bundle
def test_inference_stands_alone(bundle: Path) -> None:
    complete = {main_workflow(bundle), "inference"}
    assert not any(".json::" in (bundle / "configs" / f"{name}.json").read_text() for name in complete)


@every_bundle
def test_overlays_load_over_what_they_are_for(bundle: Path) -> None:
    presets = set(json.loads((bundle / "card.json").read_text()).get("presets", {}))
    main = main_workflow(bundle)
    of_main = presets | {"evaluate", "multi_gpu_train"} if main == "train" else presets
    for workflow, overlays in ((main, of_main), ("inference", presets)):
        for overlay in overlays:
            config(bundle, workflow, overlay)


@every_bundle
@pytest.mark.parametrize(("device", "backend"), [("cpu", "gloo"), ("cuda:1", "nccl"), (None, "nccl")])
def test_processes_talk_as_their_device_can(
    bundle: Path, device: str | None, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with GPUs may be told to train on its CPU, whose tensors NCCL does not pass on."""
    if main_workflow(bundle) != "train":
        return
    chosen: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: chosen.append(str(device)))
    monkeypatch.setenv("LOCAL_RANK", "1")
    content = config(bundle, "train", "multi_gpu_train")
    parser = ConfigParser(content | ({"device": device} if device else {}))
    [setter] = [n for n, step in enumerate(content["initialize"]) if "set_device" in str(step)]
    parser.get_parsed_content(f"initialize#{setter}")
    assert parser.get_parsed_content("backend") == backend
    assert chosen == ([] if device == "cpu" else ["cuda:1"])


@pytest.mark.parametrize("bundle", TRAINED, ids=lambda bundle: bundle.name)
def test_every_process_keeps_its_checkpoint_behind_a_handler_that_was_put_before(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MONAI Label puts one there that loads the weights; a process without checkpoint would not answer the others."""
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    content = config(bundle, "train", "multi_gpu_train")
    targets = ["CheckpointLoader", *(handler["_target_"] for handler in content["train"]["handlers"])]
    content["train"]["handlers"] = [f"$type('{target.split('.')[-1]}', (), {{}})()" for target in targets]
    kept = ConfigParser(content).get_parsed_content("train#trainer#train_handlers")
    assert len(kept) == 7 and type(kept[-1]).__name__ == "TrainingCheckpoint"


@every_bundle
def test_a_validation_that_gave_no_number_is_never_the_best(bundle: Path) -> None:
    if main_workflow(bundle) == "train":
        is_better = ConfigParser(config(bundle, "train")).get_parsed_content("validate#evaluator#metric_cmp_fn")
        assert is_better(0.5, float("nan")) and not is_better(float("nan"), 0.5) and not is_better(0.5, 0.5)


@every_bundle
def test_own_weights_meet_what_they_were_trained_on(bundle: Path) -> None:
    """What the plan says of channels and intensities is what inference and evaluation compare with it."""
    if main_workflow(bundle) == "evaluate":
        return
    workflows = {name: ConfigParser(config(bundle, *name.split("+"))) for name in ("train+evaluate", "inference")}
    handlers = {"train+evaluate": "validate#handlers", "inference": "handlers"}
    train = ConfigParser(config(bundle, "train"))
    saver = next(number for number, handler in enumerate(train["train#handlers"]) if "plan" in handler)
    for name, workflow in workflows.items():
        compared = workflow.get_parsed_content(f"{handlers[name]}#0#preprocessing")
        assert len(compared) == 2
        plan = {key: train.get_parsed_content(f"train#handlers#{saver}#plan#{key}") for key in compared}
        assert plan == compared, name


@every_bundle
def test_weights_know_along_which_axes_they_may_be_mirrored(bundle: Path) -> None:
    workflows = [config(bundle, main_workflow(bundle), "evaluate"), config(bundle, "inference")]
    if "mirror_axes" not in workflows[1]:
        return
    for workflow in workflows:
        loader = (workflow.get("handlers") or workflow["validate"]["handlers"])[0]
        assert loader["mirror_axes"] == "@mirror_axes"
    if main_workflow(bundle) == "train":
        assert [h["plan"]["flip_axes"] for h in workflows[0]["train"]["handlers"] if "plan" in h] == ["@flipped_axes"]


@every_bundle
def test_a_training_is_resumed_with_the_same_network_and_axes(bundle: Path) -> None:
    """What the plan says of them would otherwise be untrue of the weights."""
    if main_workflow(bundle) != "train":
        return
    [saver] = [h for h in config(bundle, "train")["train"]["handlers"] if "plan" in h]
    assert saver["settings"]["network"].startswith(saver["plan"]["network"])
    assert ("flip_axes" in saver["settings"]) == ("flip_axes" in saver["plan"])


@every_bundle
def test_a_preset_changes_what_is_there(bundle: Path) -> None:
    """A misspelled name in a config would add a setting that nothing reads."""
    if main_workflow(bundle) != "train":
        pytest.skip("it evaluates by the presets of the bundle that trains")
    presets = set(json.loads((bundle / "card.json").read_text()).get("presets", {}))
    files = [path for path in (bundle / "configs").glob("*.json") if path.stem in ("train", "evaluate", "inference")]
    workflows = [ConfigParser(json.loads(path.read_text())) for path in files]
    for preset in presets:
        for name in json.loads((bundle / "configs" / f"{preset}.json").read_text()):
            assert any(name.lstrip("+") in parser for parser in workflows), f"{preset}: {name}"


@every_bundle
def test_monai_accepts_the_logging_file(bundle: Path) -> None:
    assert "sys.stdout" in _reject_executable_logging_config(str(bundle / "configs" / "logging.conf"))


@every_bundle
def test_a_split_names_every_case_of_one_dataset_once(bundle: Path) -> None:
    lists = [json.loads(path.read_text()) for path in sorted(bundle.glob("splits/*.json"))]
    assert all(len({*one["train"], *one["test"]}) == len(one["train"]) + len(one["test"]) for one in lists)
    assert all({*one["train"], *one["test"]} == {*lists[0]["train"], *lists[0]["test"]} for one in lists)


@every_bundle
def test_nothing_released_names_a_machine(bundle: Path) -> None:
    texts = [path.read_text() for folder in ("configs", "docs") for path in (bundle / folder).iterdir()]
    assert [match for text in texts for match in re.findall(r"/(?:home|root|work|workspace)/\S*", text)] == []


@every_bundle
def test_the_model_card_names_every_preset_and_its_files_exist(bundle: Path) -> None:
    text = (bundle / "docs" / "README.md").read_text()
    named = set(re.findall(r"(?<![\w/])configs/(\w+)\.json", text))
    present = {path.stem for path in bundle.glob("configs/*.json")}
    assert named <= present and set(json.loads((bundle / "card.json").read_text()).get("presets", {})) <= named
    # what MONAI drops without a word; "$None" it takes
    assert not re.search(r"--\w+ None", text)


@pytest.mark.parametrize("bundle", SEVERAL_CHANNELS, ids=lambda bundle: bundle.name)
def test_the_model_card_says_how_several_channels_are_given(bundle: Path) -> None:
    channels = config(bundle, "inference")["channels"]
    text = " ".join((bundle / "docs" / "README.md").read_text().split())
    assert f"in this order: {', '.join(channels)}. Give them as files `<case>_0000.nii.gz` to" in text
    assert f"`<case>_{len(channels) - 1:04d}.nii.gz` side by side, as one 4D NIfTI file, or" in text
    (shown,) = re.findall(r'\[\{"image": .*\}\]', text)
    assert json.loads(shown) == [{"image": [f"<{channel}>.nii.gz" for channel in channels]}]
