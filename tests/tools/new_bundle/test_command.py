"""The whole command, in process, and the bundle that it leaves."""

import json
import shlex

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, verify_metadata

from scripts.data.dataset_json import paired_images
from scripts.data.split_lists import PARTS, listed_parts
from scripts.errors import InputError
from scripts.networks import ResEncUNet
from tests.tools.new_bundle.folders import image, label, save, state, volume, write_bids, write_nnunet, write_plain
from tools.new_bundle.__main__ import commands, main
from tools.new_bundle.intensity import component
from tools.new_bundle.pretrained import read_plan
from tools.render.bundle import render_card
from tools.render.bundle_table import tables
from tools.zoo_check.metadata import SCHEMA

pytestmark = pytest.mark.slow
SMALL = {"memory": "350MB"}


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A bundle for six cases in plain folders, and what was printed."""
    folder = tmp_path_factory.mktemp("made")
    data = write_plain(folder / "data", 12, ct=True)
    before = files(data)
    main("my_organ", str(data), target=str(folder / "bundles"), **SMALL)
    assert files(data) == before
    return folder / "bundles" / "my_organ"


def test_it_is_what_its_card_says_and_passes_the_static_checks(made):
    card = json.loads((made / "card.json").read_text())
    assert {path: (made / path).read_text() for path in render_card(card)} == render_card(card)
    verify_metadata(meta_file=str(made / "configs/metadata.json"), filepath=str(SCHEMA))
    train, inference = (json.loads((made / f"configs/{name}.json").read_text()) for name in ("train", "inference"))
    assert train["channels"] == inference["channels"] == ["CT"]
    assert train["labels"] == {"background": 0, "label 1": 1, "label 2": 2} and train["spacing"] == [1, 1, 2]
    assert ConfigParser(train).get_parsed_content("network_def#out_channels") == 3
    assert inference["intensity"]["_target_"] == "ScaleIntensityRanged"
    for overlay in ("evaluate", "multi_gpu_train", "unetr", "nnformer"):
        ConfigParser.load_config_files([made / "configs/train.json", made / f"configs/{overlay}.json"])
    assert "| [my_organ](bundles/my_organ/docs/README.md) | My organ | CT |" in tables([card])  # in README.md
    texts = [path.read_text() for folder in ("configs", "docs") for path in (made / folder).iterdir()]
    assert not any(str(made.parent.parent) in text for text in texts)
    assert (made / "scripts" / "networks").is_dir() and not list(made.parent.glob(".*"))


def test_it_trains_evaluates_and_segments(made, run_bundle, tmp_path):
    short = {"max_epochs": 1, "steps_per_epoch": 2, "val_interval": 1, "num_workers": 0}
    run_bundle(made, ["train"], output_dir=tmp_path / "out", ckpt_dir=tmp_path / "models", **short)
    checkpoint = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    assert checkpoint["plan"]["spacing"] == [1.0, 1.0, 2.0]
    assert checkpoint["plan"]["normalization"].startswith("HU from ")
    evaluation = {"ckpt_dir": tmp_path / "models", "output_dir": tmp_path / "scores", "num_workers": 0}
    run_bundle(made, ["train", "evaluate"], **evaluation)
    assert json.loads((tmp_path / "scores" / "metrics.json").read_text())["part"] == "test"
    scan = image(made.parents[1] / "data")
    inference = {"dataset_dir": scan, "ckpt_dir": tmp_path / "models", "output_dir": tmp_path / "masks"}
    run_bundle(made, ["inference"], **inference)
    assert nib.load(tmp_path / "masks" / "c1_seg.nii.gz").shape == nib.load(scan).shape


def test_ct_beside_pet_is_clipped_alone_in_training_and_inference(tmp_path, run_bundle):
    data = tmp_path / "data"
    for number in range(8):
        ct, truth = volume(number, ct=True)
        for channel, scan in enumerate((ct, np.abs(volume(99 - number)[0]))):
            save(scan, data / "imagesTr" / f"c{number}_000{channel}.nii.gz")
        save(truth, data / "labelsTr" / f"c{number}.nii.gz")
    labels = {"background": 0, "one": 1, "two": 2}
    state(data, {"channel_names": {"0": "CT", "1": "PET"}, "labels": labels, "file_ending": ".nii.gz"})
    main("tumour", str(data), target=str(tmp_path), **SMALL)
    made = tmp_path / "tumour"
    train, inference = (json.loads((made / f"configs/{name}.json").read_text()) for name in ("train", "inference"))
    (low, high), rest = train["intensity"]["windows"]
    assert train["intensity"] == inference["intensity"] and -1000 < low < high and rest is None
    short = {"max_epochs": 1, "steps_per_epoch": 1, "val_interval": 1, "num_workers": 0}
    run_bundle(made, ["train"], dataset_dir=data, output_dir=tmp_path / "out", ckpt_dir=tmp_path / "models", **short)
    scans = {"dataset_dir": data / "imagesTr", "ckpt_dir": tmp_path / "models", "output_dir": tmp_path / "masks"}
    run_bundle(made, ["inference"], **scans)
    assert len(list((tmp_path / "masks").glob("*_seg.nii.gz"))) == 8
    start = read_plan(str(tmp_path / "models" / "model.pt"))
    assert component(start.normalization) == train["intensity"]


def test_the_commands_printed_are_three_and_a_dataset_json_needs_no_second(tmp_path, capsys):
    data = write_nnunet(tmp_path / "data", 8)
    main("organ", str(data), target=str(tmp_path), **SMALL)
    printed = [shlex.split(line) for line in capsys.readouterr().out.splitlines() if "monai.bundle run" in line]
    assert len(printed) == 3 and str(data) in printed[0] and str(data) in printed[1]
    assert "--split" not in printed[0]
    assert not (tmp_path / "organ" / "data" / "dataset.json").exists()
    card = json.loads((tmp_path / "organ" / "card.json").read_text())
    assert card["dataset"]["labels"] == {"background": 0, "one": 1, "two": 2}


@pytest.mark.parametrize(
    ("content", "given"),
    [
        ({"train": ["c1"], "test": ["c2"]}, True),
        ({"train": ["c1"], "val": ["c2"]}, False),
        ({"train": ["c1"], "test": []}, False),
        ([{"train": ["c1"], "test": ["c2"]}], False),
    ],
)
def test_the_commands_divide_as_the_data_do(tmp_path, content, given):
    (tmp_path / "split.json").write_text(json.dumps(content))
    text = commands(tmp_path, tmp_path, None)
    train, evaluate, infer = [shlex.split(line) for line in text.split("\n") if " run " in line]
    assert all(("--split" in command) == given for command in (train, evaluate)) and "--split" not in infer
    assert not given or train[train.index("--split") + 1] == str(tmp_path / "split.json")


def test_regions_of_nnunet_become_regions_of_the_bundle(tmp_path, run_bundle):
    data = write_nnunet(tmp_path / "data", 8)
    content = json.loads((data / "dataset.json").read_text())
    content |= {"labels": {"background": 0, "whole": [1, 2], "core": 2}, "regions_class_order": [1, 2]}
    state(data, content)
    main("organ", str(data), target=str(tmp_path), **SMALL)
    train = json.loads((tmp_path / "organ" / "configs" / "train.json").read_text())
    assert train["regions"] == {"whole": [1, 2], "core": [2]}
    assert ConfigParser(train).get_parsed_content("network_def#out_channels") == 2
    short = {"max_epochs": 1, "steps_per_epoch": 2, "val_interval": 1, "num_workers": 0, "dataset_dir": data}
    run_bundle(tmp_path / "organ", ["train"], output_dir=tmp_path / "out", ckpt_dir=tmp_path / "models", **short)


def test_a_folder_without_one_sound_case_is_refused_with_its_faults(tmp_path, capsys):
    data = write_bids(tmp_path / "data", 2)
    for path in data.rglob("*dseg*"):
        path.unlink()
    with pytest.raises(InputError, match="2 errors, listed above .* correct the data"):
        main("organ", str(data), target=str(tmp_path), leave_out=True)
    assert capsys.readouterr().out.count("missing partner") == 3


def test_a_pretrained_model_decides_and_several_channels_are_taken(tmp_path):
    network = ResEncUNet(1, 1, (4, 8), (1, 1), (1, 2))
    plan = {"network": network.settings, "spacing": [1.0, 1.0, 1.5], "patch_size": [16, 16, 16]}
    plan["normalization"] = "z-score over the non-zero crop, each channel"
    torch.save({"model": network.state_dict(), "plan": plan}, tmp_path / "model.pt")
    data = write_bids(tmp_path / "data", 8)
    main("organ", str(data), pretrained=str(tmp_path / "model.pt"), target=str(tmp_path), channels=["T1w", "FLAIR"])
    train = json.loads((tmp_path / "organ" / "configs" / "train.json").read_text())
    assert train["network_def"]["features"] == [4, 8]
    assert ConfigParser(train).get_parsed_content("network_def#in_channels") == 2
    assert train["spacing"] == [1.0, 1.0, 1.5] and train["channels"] == ["T1w", "FLAIR"]
    assert train["patient_pattern"] == "^(sub-[^_]+)"


def test_errors_stop_it_and_cases_can_be_left_out(tmp_path, capsys):
    data = write_plain(tmp_path / "data", 8)
    label(data, 3).unlink()
    with pytest.raises(InputError, match="1 errors, listed above .* or give --leave_out True"):
        main("organ", str(data), target=str(tmp_path), **SMALL)
    assert "missing partner" in capsys.readouterr().out and not (tmp_path / "organ").exists()
    main("organ", str(data), target=str(tmp_path), leave_out=True, **SMALL)
    content = json.loads((tmp_path / "organ" / "data" / "dataset.json").read_text())
    assert len(content["training"]) == 7 and not any("c3" in case["image"] for case in content["training"])


@pytest.mark.parametrize("write", [write_nnunet, write_plain])
def test_a_written_list_keeps_the_split_of_the_data(tmp_path, capsys, write):
    data = write(tmp_path / "data", 8)
    (data / "split.json").write_text(json.dumps({"train": [f"c{n}" for n in range(5)], "test": ["c5", "c6", "c7"]}))
    next(path for path in data.rglob("c6*") if "label" in path.parent.name).unlink()
    main("organ", str(data), target=str(tmp_path), leave_out=True, **SMALL)
    listed = tmp_path / "organ" / "data"
    printed = [shlex.split(line) for line in capsys.readouterr().out.splitlines() if "monai.bundle run" in line]
    assert [line[line.index("--split") + 1] for line in printed[:2]] == [str(listed / "split.json")] * 2
    parts = listed_parts(str(listed / "split.json"), "none", [case["case"] for case in paired_images(listed)])
    assert [[name[:2] for name in parts[part]] for part in PARTS] == [["c0", "c1", "c2", "c3", "c4"], ["c5", "c7"]]


def test_a_split_without_a_sound_test_case_is_refused(tmp_path):
    data = write_plain(tmp_path / "data", 8)
    (data / "split.json").write_text(json.dumps({"train": [f"c{n}" for n in range(7)], "test": ["c7"]}))
    label(data, 7).unlink()
    with pytest.raises(InputError, match=r"split\.json has no sound case to test: correct some of them"):
        main("organ", str(data), target=str(tmp_path), leave_out=True, **SMALL)
    assert not (tmp_path / "organ").exists()


@pytest.mark.parametrize("labels", ["liver", ["liver"], 1, {"liver": "1"}])
def test_labels_without_values_are_refused(tmp_path, labels):
    data = write_plain(tmp_path / "data", 1)
    with pytest.raises(InputError, match="give values by name, such as "):
        main("organ", str(data), target=str(tmp_path), labels=labels)
    assert not (tmp_path / "organ").exists()


def test_an_existing_folder_is_not_overwritten(tmp_path):
    (tmp_path / "organ").mkdir()
    with pytest.raises(InputError, match="exists and is not overwritten"):
        main("organ", str(tmp_path), target=str(tmp_path))
    with pytest.raises(InputError, match="give letters, digits and _"):
        main("my/organ", str(tmp_path), target=str(tmp_path))
