"""Every road a user takes, on generated scans: train, evaluate, infer, export, load; from checkout and zips."""

import csv
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from tests.monai_checks import check_export, check_properties, run_python
from tests.small_networks import SMALL
from tests.warm_runs import run_cold, run_warm
from tools.ensemble import ensemble
from tools.project import ROOT, bundle_names
from tools.render.card import read_card

pytestmark = pytest.mark.slow
PRETRAINING, SEGMENTATION = "spark3d_pretrain", "hippocampus_segmentation"  # for roads that all bundles share
CARDS = {name: read_card(name, ROOT) for name in bundle_names(ROOT)}
PRETRAININGS, SEGMENTATIONS, EVALUATIONS = (
    [n for n, c in CARDS.items() if c["template"] == t] for t in ("pretrain", "segmentation", "evaluation")
)
# one for each default network, and for regions: the other bundles differ from these by numbers only
VARIED = [f"{name}_segmentation" for name in ("acdc", "btcv", "msd_braintumour", "hippocampus")]
METHODS = {"resenc": "spark3d_pretrain", "unetr": "vit_mae_pretrain", "nnformer": "nnformer_mae_pretrain"}


def every(names):
    """Parametrise over bundles: all from the checkout, one from its zip, whose content `test_release` compares."""
    roads = [("checkout", name) for name in names] + [("zip", names[-1])]
    return pytest.mark.parametrize("bundles, name", roads, indirect=["bundles"])


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    """A folder for what is done with the bundles of each kind, once for all tests."""
    return {kind: tmp_path_factory.mktemp(kind) for kind in ("checkout", "zip")}


# pytest makes fixtures that depend on parameters anew for every test, so these are cheap: what costs lies in `works`
@pytest.fixture(params=["checkout", "zip"])
def bundles(request):
    """Folder of bundles: the project's own, or the unpacked ones."""
    return ROOT / "bundles" if request.param == "checkout" else request.getfixturevalue("released")


@pytest.fixture
def work(bundles, works):
    return works["checkout" if bundles == ROOT / "bundles" else "zip"]


@pytest.fixture
def pretrain(bundles, run_bundle, phantoms, work):
    """Return a function that trains a pretraining bundle, once, and gives its checkpoint."""

    def model(name):
        folder = work / name
        if not folder.exists():
            run_bundle(
                bundles / name, ["train", "tiny"], cwd=work,
                dataset_dir=phantoms / "unlabelled", output_dir=folder, ckpt_dir=folder / "models",
            )  # fmt: skip
        return folder / "models" / "model.pt"

    return model


@pytest.fixture
def pretrained(pretrain):
    return pretrain(PRETRAINING)


@pytest.fixture
def walk(bundles, labelled, work, pretrain):
    """Return a function that fine-tunes a bundle's model, evaluates it and segments all scans, once; gives the folder.

    The data are a generated miniature of the release in its own layout, as `tools.prepare` turns it out.
    """

    def run(name, *configs, **knobs):
        root = bundles / name
        files = [str(root / "configs" / f"{config}.json") for config in configs]
        return {"config_file": files, "bundle_root": str(root), **knobs}

    def folder(name):
        done = work / name
        if done.exists():
            return done
        done.mkdir()
        data, pretrained = labelled(name), pretrain(METHODS[network(name)])
        mine = {"dataset_dir": data, "spacing": spacing(data)}
        split = {"split": data / "split.json", "num_folds": 2}
        training = [run(name, "train", "tiny", output_dir=done, pretrained=pretrained, **mine, **split)]
        evaluation = [run(name, "train", "evaluate", "tiny", output_dir=done / "metrics", **mine, **split)]
        if name in EVALUATIONS:
            model = CARDS[name]["model"]
            knobs = {"pretrained": pretrained, "dataset_dir": labelled(model["bundle"]), "output_dir": done}
            knobs["spacing"] = spacing(data)
            training = [run(model["bundle"], "train", "tiny", model["preset"], **knobs)]
            evaluation = [run(name, "evaluate", "tiny", output_dir=done / "metrics", **mine)]
        inference = [run(name, "inference", "tiny", output_dir=done / "masks", **mine)]
        steps = [{**step, "ckpt_dir": str(done / "models")} for step in (*training, *evaluation, *inference)]
        (done / "runs.json").write_text(json.dumps(steps, default=str))
        chain = ["tests.chained_runs", str(done / "runs.json")]
        # what is unpacked starts a new Python, as its user does
        finished = run_warm(chain, done) if bundles == ROOT / "bundles" else run_cold(chain, done, sys.executable)
        assert finished.returncode == 0, finished.output[-6000:]
        assert "transferred encoder" in finished.output and "0 skipped" in finished.output
        several = len(CARDS[name]["dataset"]["channel_names"]) > 1 and name not in EVALUATIONS
        assert ("adapted (encoder." in finished.output) == several  # the stem of one channel, repeated
        return done

    return folder


@pytest.fixture
def finetune(walk):
    """Return a function that gives the folder of a segmentation bundle's fine-tuned checkpoints."""
    return lambda name: walk(name) / "models"


@pytest.fixture
def finetuned(finetune):
    return finetune(SEGMENTATION)


def spacing(data):
    """A spacing that leaves the miniature about as many voxels as it has, whatever the release's voxels are."""
    zooms = nib.load(next((data / "labelsTr").iterdir())).header.get_zooms()
    return [round(float(np.prod(zooms)) ** (1 / 3), 2)] * 3


def network(name):
    """The default network of a segmentation bundle."""
    return CARDS[name].get("network", "resenc")


def test_pretraining_leaves_what_finetuning_needs(pretrained):
    checkpoint = torch.load(pretrained, weights_only=True)
    assert checkpoint["plan"]["network"]["features"] == [4, 8] and checkpoint["plan"]["spacing"] == [1.0, 1.0, 1.0]
    assert (pretrained.parent / "model_final.pt").is_file() and (pretrained.parents[1] / "curation.csv").is_file()


def test_weights_tell_no_folder_of_the_machine_they_were_trained_on(finetuned, pretrained):
    plan = torch.load(finetuned / "model.pt", weights_only=True)["plan"]
    assert plan["pretrained"] == "model.pt" and str(pretrained.parent) not in json.dumps(plan)


def test_crops_are_drawn_by_the_labels_where_a_replication_asks_for_it(run_bundle, phantoms, tmp_path):
    for name in ("dataset.json", "imagesTr", "labelsTr"):  # not imagesTs, which pretraining takes of a dataset
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(phantoms / "labelled" / name)
    knobs = {"dataset_dir": tmp_path / "data", "output_dir": tmp_path / "out", "ckpt_dir": tmp_path / "models"}
    done = run_bundle("vit_mae_pretrain", ["train", "tiny"], max_epochs=1, label_crops=True, **knobs)
    assert "training cases 6" in done.output and (tmp_path / "models" / "model.pt").is_file()
    run_bundle("vit_mae_pretrain", ["train", "evaluate", "tiny"], label_crops=True, **knobs)
    assert len(json.loads((tmp_path / "out" / "reconstruction.json").read_text())["cases"]) == 2


@every(PRETRAININGS)
def test_reconstruction_is_evaluated_beside_trivial_predictors(bundles, run_bundle, phantoms, tmp_path, pretrain, name):
    run_bundle(
        bundles / name, ["train", "evaluate", "tiny"], cwd=tmp_path,
        dataset_dir=phantoms / "unlabelled", output_dir=tmp_path / "scores", ckpt_dir=pretrain(name).parent,
    )  # fmt: skip
    report = json.loads((tmp_path / "scores" / "reconstruction.json").read_text())
    for name in ("mse", "mse_mean", "mse_interpolation"):
        assert report["mean"][name] > 0
        assert report["mean"][name] == pytest.approx(np.mean([case[name] for case in report["cases"]]))
    assert len(report["cases"]) == 2 and report["mask_ratio"] == 0.75


@every(PRETRAININGS)
def test_reconstructions_are_written_on_one_grid(bundles, run_bundle, phantoms, tmp_path, pretrain, name):
    scan = phantoms / "unlabelled" / "phantom_000.nii.gz"
    run_bundle(
        bundles / name, ["inference", "tiny"], cwd=tmp_path,
        dataset_dir=scan, output_dir=tmp_path / "pictures", ckpt_dir=pretrain(name).parent,
    )  # fmt: skip
    stem = tmp_path / "pictures" / "phantom_000" / "phantom_000"
    original, masked, restored = (
        nib.load(f"{stem}_{name}.nii.gz") for name in ("original", "masked", "reconstruction")
    )
    assert np.array_equal(original.affine, masked.affine) and np.array_equal(original.affine, restored.affine)
    side = {"nnformer_mae_pretrain": 8}.get(name, 4)  # of a cell of `tiny`
    cells = np.array(original.shape) // side
    inside = tuple(slice(side * n) for n in cells)
    differs = (masked.get_fdata() != original.get_fdata())[inside]
    differs = differs.reshape(cells[0], side, cells[1], side, cells[2], side).any(axis=(1, 3, 5))
    hidden = np.kron(differs, np.ones((side, side, side), dtype=bool))
    assert 0.6 < hidden.mean() < 0.85
    restored, original = restored.get_fdata()[inside], original.get_fdata()[inside]
    assert np.array_equal(restored[~hidden], original[~hidden]) and (restored[hidden] != original[hidden]).mean() > 0.9
    assert (Path(f"{stem}.png")).stat().st_size > 10_000


@every(EVALUATIONS + SEGMENTATIONS)
def test_segmentation_scores_are_those_of_the_written_masks(labelled, walk, name):
    """And the masks lie on the grid of the files that `tools.prepare` wrote."""
    folder, data, dataset = walk(name), labelled(name), CARDS[name]["dataset"]
    content = json.loads((folder / "metrics" / "metrics.json").read_text())
    classes = dataset.get("regions") or {key: value for key, value in dataset["labels"].items() if value != 0}
    predicted_classes = classes
    if "model" in CARDS[name]:
        predicted_classes, classes = {"metastasis": 1}, {"metastasis": content["target"]}
    rows = list(csv.DictReader((folder / "metrics" / "metrics.csv").open()))
    part = json.loads((data / "split.json").read_text())["test"]
    tested = sorted(path.name.removesuffix(".nii.gz") for path in (data / "labelsTr").iterdir())
    tested = tested if name in EVALUATIONS else part
    assert {row["case"] for row in content["cases"]} == set(tested)
    assert len(rows) == len(content["cases"]) == len(tested) * len(classes)
    assert ("lesions_of_all_cases" in content) == CARDS[name].get("train", CARDS[name].get("evaluate", {})).get(
        "lesion_scores", False
    )
    for row in content["cases"]:
        predicted = nib.load(folder / "masks" / f"{row['case']}_seg.nii.gz")
        reference = nib.load(data / "labelsTr" / f"{row['case']}.nii.gz")
        assert np.allclose(predicted.affine, reference.affine) and predicted.shape == reference.shape
        p = np.isin(np.asarray(predicted.dataobj), predicted_classes[row["class"]])
        r = np.isin(np.asarray(reference.dataobj), classes[row["class"]])
        both = p.sum() + r.sum()
        assert row["dsc"] == (pytest.approx(2 * (p & r).sum() / both, abs=1e-6) if both else None)


@every(VARIED)
def test_inference_needs_no_more_than_input_and_output(bundles, run_bundle, labelled, tmp_path, finetune, name):
    """A bundle folder with weights, run from inside, on an oblique scan of other orientation and spacing."""
    bundle = tmp_path / name
    shutil.copytree(bundles / name, bundle, ignore=shutil.ignore_patterns("models", "eval"))
    shutil.copytree(finetune(name), bundle / "models")
    shutil.copy(bundle / "configs" / "tiny.json", bundle / "configs" / "preset.json")
    files = sorted((labelled(name) / "imagesTr").iterdir())[: len(CARDS[name]["dataset"]["channel_names"])]
    source = nib.concat_images([nib.load(file) for file in files]) if len(files) > 1 else nib.load(files[0])
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.2, 0.9, 1.5])
    affine[:3, 3] = (30, -20, 10)
    nib.save(nib.Nifti1Image(np.asarray(source.dataobj), affine), tmp_path / "oblique.nii.gz")
    trained = {"spacing": spacing(labelled(name))}
    run_bundle(
        bundle, ["inference", "preset"], cwd=bundle, dataset_dir="../oblique.nii.gz", output_dir="../out", **trained
    )
    written = nib.load(tmp_path / "out" / "oblique_seg.nii.gz")
    assert np.allclose(written.affine, affine, atol=1e-4) and written.shape == source.shape[:3]
    assert set(np.unique(np.asarray(written.dataobj))) <= set(CARDS[name]["dataset"]["labels"].values())


@pytest.mark.parametrize("bundles", ["checkout"], indirect=True)
def test_several_networks_decide_together(run_bundle, labelled, walk, tmp_path):
    folder, data = walk(SEGMENTATION), labelled(SEGMENTATION)
    model = folder / "models" / "model.pt"
    sure = torch.load(model, weights_only=True)  # of class 1, everywhere, against whatever the other says
    last = max(key for key in sure["model"] if key.startswith("decoder.seg_layers.") and key.endswith(".bias"))
    sure["model"][last] += torch.tensor([0.0, 1e4, 0.0])
    torch.save(sure, tmp_path / "sure.pt")
    mine = {"dataset_dir": data, "spacing": spacing(data)}
    ensemble(str(tmp_path / "both.pt"), str(model), str(tmp_path / "sure.pt"))
    both = {"checkpoint": tmp_path / "both.pt", "output_dir": tmp_path / "masks"}
    run_bundle(SEGMENTATION, ["inference", "tiny"], **mine, **both)
    masks = sorted((tmp_path / "masks").glob("*_seg.nii.gz"))
    run_bundle(
        SEGMENTATION, ["inference", "tiny"], **mine, checkpoint=tmp_path / "sure.pt", output_dir=tmp_path / "sure"
    )
    for mask in masks:  # outside of what is not zero there is nothing to be sure of
        found, sure_alone = (np.asarray(nib.load(tmp_path / at / mask.name).dataobj) for at in ("masks", "sure"))
        assert set(np.unique(found)) <= {0, 1} and (found == 1).mean() > 0.3 and (found == sure_alone).all()
    assert masks
    twice = {"checkpoint": [str(model)] * 2, "output_dir": tmp_path / "metrics"}
    split = {"split": data / "split.json", "num_folds": 2}
    run_bundle(SEGMENTATION, ["train", "evaluate", "tiny"], **mine, **split, **twice)
    other = {"evaluated_part": "val", "fold": 1, "output_dir": tmp_path / "val"}  # some of these trained it
    done = run_bundle(
        SEGMENTATION, ["train", "evaluate", "tiny"], **mine, **split, checkpoint=model, **other, check=False
    )
    assert done.returncode and re.search(r"was trained on \d of these \d cases: .*--fold", done.output)
    again, alone = (json.loads((at / "metrics.json").read_text()) for at in (tmp_path / "metrics", folder / "metrics"))
    assert again["cases"] == alone["cases"] and again["checkpoint"] == [str(model)] * 2


@pytest.mark.parametrize("other", SMALL)
def test_another_network_by_its_overlay(bundles, run_bundle, phantoms, tmp_path, pretrain, other):
    knobs = {"cwd": tmp_path, "ckpt_dir": tmp_path / "models", "patch_size": [16, 16, 16]}
    knobs |= {f"network_def__{key}": value for key, value in SMALL[other].items()}
    training = {"dataset_dir": phantoms / "labelled", "pretrained": pretrain(METHODS[other]), "output_dir": tmp_path}
    training |= {"phases": "[['all','ramp',2],['all','poly',None]]"}
    done = run_bundle(bundles / SEGMENTATION, ["train", "tiny", other], **knobs, **training)
    assert "transferred encoder" in done.output and "0 skipped" in done.output
    scan = phantoms / "labelled" / "imagesTr" / "phantom_000.nii.gz"
    run_bundle(
        bundles / SEGMENTATION, ["inference", "tiny", other], dataset_dir=scan, output_dir=tmp_path / "out", **knobs
    )
    assert nib.load(tmp_path / "out" / "phantom_000_seg.nii.gz").shape == nib.load(scan).shape
    refused = run_bundle(
        bundles / SEGMENTATION,
        ["train", "tiny", other],
        check=False,
        **{**knobs, "patch_size": [18, 16, 16]},
        **training,
    )
    assert refused.returncode == 1 and "patch_size [18, 16, 16] does not fit" in refused.output


def test_the_switches_of_selfmedmae(bundles, run_bundle, labelled, tmp_path):
    """A list of cases that choose the model as well, HD95 in voxels, and label 2 called enhancing tumour."""
    name = "msd_braintumour_segmentation"
    cases = sorted(path.name.removesuffix(".nii.gz") for path in (labelled(name) / "labelsTr").iterdir())
    (tmp_path / "mine.json").write_text(json.dumps({"train": cases[:5], "test": cases[5:]}))
    knobs = {"cwd": tmp_path, "ckpt_dir": tmp_path / "models", "dataset_dir": labelled(name)}
    knobs |= {"split": tmp_path / "mine.json", "max_epochs": 1, "reported_classes": "['tumour core']"}
    presets = ["selfmedmae", "selfmedmae_et", "tiny"]
    done = run_bundle(bundles / name, ["train", *presets], output_dir=tmp_path / "out", **knobs)
    assert "model.pt is chosen by them" in done.output and "training cases 5, validation cases 3" in done.output
    run_bundle(bundles / name, ["train", "evaluate", *presets], output_dir=tmp_path / "metrics", **knobs)
    inference = {key: knobs[key] for key in ("cwd", "ckpt_dir", "dataset_dir")}
    run_bundle(bundles / name, ["inference", *presets], output_dir=tmp_path / "masks", **inference)
    report = json.loads((tmp_path / "metrics" / "metrics.json").read_text())
    assert {row["case"] for row in report["cases"]} == set(cases[5:]) and "hd95_voxel" in report["cases"][0]
    assert report["summary"]["mean"] == report["summary"]["tumour core"]
    for row in report["cases"]:
        if row["class"] == "enhancing tumour":
            files = (tmp_path / f"masks/{row['case']}_seg.nii.gz", labelled(name) / f"labelsTr/{row['case']}.nii.gz")
            p, r = (np.asarray(nib.load(file).dataobj) == 2 for file in files)
            assert row["dsc"] == pytest.approx(2 * (p & r).sum() / (p.sum() + r.sum()), abs=1e-6)


def test_a_release_zip_with_weights_feeds_finetuning(bundles, run_bundle, phantoms, work, pretrained, tmp_path):
    archive = tmp_path / "spark3d_pretrain_v0.1.0.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.write(pretrained, "spark3d_pretrain/models/model.pt")
    done = run_bundle(
        bundles / SEGMENTATION, ["train", "tiny"], cwd=work, max_epochs=2, dataset_dir=phantoms / "labelled",
        output_dir=tmp_path / "out", ckpt_dir=tmp_path / "models", pretrained=archive,
    )  # fmt: skip
    assert "transferred encoder" in done.output and "0 skipped" in done.output


def test_table_3_from_the_command_line(bundles, run_bundle, phantoms, work, pretrained, tmp_path):
    done = run_bundle(
        bundles / SEGMENTATION, ["train", "tiny"], cwd=work, max_epochs=1, dataset_dir=phantoms / "labelled",
        output_dir=tmp_path / "out", ckpt_dir=tmp_path / "models", pretrained=pretrained, transfer="encoder+decoder",
        phases="[['all','ramp',2],['all','poly',None]]", max_lr=1e-4, num_labelled=2,
    )  # fmt: skip
    assert "transferred encoder+decoder" in done.output and "training cases 2" in done.output


@every(PRETRAININGS + VARIED)
def test_monai_verifies_and_exports(bundles, name, pretrain, finetune, tmp_path):
    weights = pretrain(name) if name in PRETRAININGS else finetune(name) / "model.pt"
    check_export(bundles / name, weights, len(CARDS[name]["dataset"]["channel_names"]), tmp_path)


@every(PRETRAININGS + VARIED)
@pytest.mark.parametrize("workflow", ["train", "inference"])
def test_monai_finds_the_properties_it_wants(bundles, phantoms, labelled, tmp_path, name, workflow):
    data = labelled(name) if name in SEGMENTATIONS else phantoms / "unlabelled"
    check_properties(bundles / name, workflow, data, tmp_path)


def test_monai_loads_the_weights_with_another_head(bundles, finetuned, tmp_path):
    shutil.copytree(bundles / SEGMENTATION, tmp_path / SEGMENTATION, ignore=shutil.ignore_patterns("models", "eval"))
    (tmp_path / SEGMENTATION / "models").mkdir()
    shutil.copy(finetuned / "model.pt", tmp_path / SEGMENTATION / "models")
    override = {"features": [4, 8], "num_blocks": [1, 1], "strides": [1, 2], "out_channels": 5}
    out = run_python(
        "import sys; sys.path.insert(0, '.')\n"
        "import torch\n"
        "from monai.bundle import load\n"
        f"network = load({SEGMENTATION!r}, bundle_dir={str(tmp_path)!r}, workflow_type='inference',\n"
        f"    model_file='models/model.pt', key_in_ckpt='model', source='github', net_override={override!r})\n"
        f"saved = torch.load({str(finetuned / 'model.pt')!r}, weights_only=True)['model']\n"
        "own = network.state_dict()\n"
        "print('equal', all(torch.equal(own[k], v) for k, v in saved.items() if '.seg_layers.' not in k))\n"
        "print('head', network.eval()(torch.zeros(1, 1, 16, 16, 16)).shape[1])\n",
        tmp_path / SEGMENTATION,
    )
    assert "equal True" in out and "head 5" in out
