"""What trained or pretrained a network is known to all that goes on from it: its scores are refused, or warned of."""

import json
import re

import pytest
import torch

from tools.phantoms import make_phantoms

PRETRAIN, SEGMENT = "spark3d_pretrain", "hippocampus_segmentation"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Labelled cases and their names."""
    folder = tmp_path_factory.mktemp("data")
    make_phantoms(str(folder), num_unlabelled=1, num_labelled=6)
    images = (folder / "labelled" / "imagesTr").iterdir()
    return folder / "labelled", sorted(path.name.removesuffix(".nii.gz") for path in images)


@pytest.fixture(scope="module")
def run(run_bundle, data, tmp_path_factory):
    """Return a function that trains or evaluates in a folder, and gives that and all that it said."""
    work = tmp_path_factory.mktemp("work")

    def in_folder(name, bundle, *configs, check=True, test=(), **knobs):
        folder = work / name
        if test:
            knobs |= {"split": work / f"{name}.json", "num_folds": 2}
            parts = {"train": [case for case in data[1] if case not in test], "test": test}
            knobs["split"].write_text(json.dumps(parts))
        folders = {"dataset_dir": data[0], "output_dir": folder, "ckpt_dir": folder / "models"}
        done = run_bundle(bundle, [*configs, "tiny"], check=check, **folders, **knobs)
        assert check or done.returncode == 1
        return folder, done.output

    return in_folder


@pytest.fixture(scope="module")
def pretrained(run):
    """The folder of a pretraining on the images of all cases but one."""
    return run("pretrained", PRETRAIN, "train", max_epochs=1, min_val_cases=1)[0]


@pytest.fixture(scope="module")
def finetuned(run, data, pretrained):
    """The folder of a network that went on from there, without the first three cases."""
    start = {"pretrained": pretrained / "models" / "model.pt"}
    return run("finetuned", SEGMENT, "train", test=data[1][:3], **start)[0]


def plan(folder):
    return torch.load(folder / "models" / "model.pt", weights_only=True)["plan"]


def test_a_pretraining_is_not_scored_on_its_scans(run, pretrained):
    assert len(plan(pretrained)["pretrained_on"]) == 5
    configs = (pretrained.name, PRETRAIN, "train", "evaluate")
    _, told = run(*configs, check=False)  # as the preset has it, two cases are held out
    assert "was pretrained on 1 of these 2 cases (phantom_" in told
    assert not (pretrained / "reconstruction.json").exists()
    run(*configs, min_val_cases=1)
    assert len(json.loads((pretrained / "reconstruction.json").read_text())["cases"]) == 1


def test_images_without_labels_may_be_pretrained_on(run, data, pretrained, finetuned):
    assert plan(finetuned)["pretrained_on"] == plan(pretrained)["pretrained_on"]
    _, told = run(finetuned.name, SEGMENT, "train", "evaluate", test=data[1][:3])
    assert re.search(r"images, not the labels, of [23] of these 3 cases \(phantom_", told)
    assert (finetuned / "metrics.json").exists()


def test_no_network_is_scored_on_cases_that_trained_what_it_started_from(run, data, finetuned):
    test = data[1][3:]
    start = {"pretrained": finetuned / "models" / "model.pt", "transfer": "encoder+decoder"}
    folder, _ = run("other", SEGMENT, "train", test=test, **start)
    assert set(plan(finetuned)["trained_on"]) < set(plan(folder)["trained_on"])
    assert plan(folder)["pretrained_on"] == plan(finetuned)["pretrained_on"]
    _, told = run("other", SEGMENT, "train", "evaluate", test=test, check=False)
    assert "model.pt, or what it started from, was trained on" in told and not (folder / "metrics.json").exists()
