"""Every road a user takes, on generated scans: train, evaluate, infer, export, load; from checkout and zips."""

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from tools.release import main as release
from tools.render import ROOT, names_of, read_card

pytestmark = pytest.mark.slow
PRETRAINING, SEGMENTATION = "spark3d_pretrain", "hippocampus_segmentation"  # for roads that all bundles share
CARDS = {name: read_card(name, ROOT) for name in names_of(ROOT)}
PRETRAININGS, SEGMENTATIONS = (
    [n for n, c in CARDS.items() if c["template"] == t] for t in ("pretrain", "segmentation")
)
METHODS = {"resenc": "spark3d_pretrain", "unetr": "vit_mae_pretrain", "nnformer": "nnformer_mae_pretrain"}
SMALL = {  # what makes another network of the hippocampus bundle as small as `tiny` makes the default one
    "unetr": {"patch_size": 4, "hidden_size": 24, "depth": 2, "num_heads": 2, "feature_size": 4},
    "nnformer": {"embed_dim": 12, "num_heads": [1, 2, 3, 6], "stem_strides": [1, 1], "windows": [2, 2, 4, 2]},
}


def every(names):
    """Parametrise over bundles: all from the checkout, one from its zip, whose content `test_release` compares."""
    roads = [("checkout", name) for name in names] + [("zip", names[-1])]
    return pytest.mark.parametrize("bundles, name", roads, indirect=["bundles"])


@pytest.fixture(scope="module", params=["checkout", "zip"])
def bundles(request, tmp_path_factory):
    """Folder of bundles: the project's own, or what unpacking the release zips gives."""
    root = ROOT / "bundles"
    if request.param == "checkout":
        return root
    folder = tmp_path_factory.mktemp("release")
    release(output_dir=str(folder))
    for archive in folder.glob("*.zip"):
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def work(bundles, tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def pretrained(pretrain):
    return pretrain(PRETRAINING)


@pytest.fixture(scope="module")
def finetune(bundles, run_bundle, labelled, work, pretrain):
    """Return a function that fine-tunes a segmentation bundle, once, and gives the folder of its checkpoints."""

    def models(name):
        folder = work / name
        if not folder.exists():
            done = run_bundle(
                bundles / name, ["train", "tiny"], cwd=work, max_epochs=2, pretrained=pretrain(METHODS[network(name)]),
                dataset_dir=labelled(name), output_dir=folder, ckpt_dir=folder / "models",
            )  # fmt: skip
            assert "transferred encoder" in done.stdout and "0 skipped" in done.stdout
        return folder / "models"

    return models


@pytest.fixture(scope="module")
def finetuned(finetune):
    return finetune(SEGMENTATION)


def network(name):
    """The default network of a segmentation bundle."""
    return CARDS[name].get("network", "resenc")


def test_pretraining_leaves_what_finetuning_needs(pretrained):
    checkpoint = torch.load(pretrained, weights_only=True)
    assert checkpoint["plan"]["network"]["features"] == [4, 8] and checkpoint["plan"]["spacing"] == [1.0, 1.0, 1.0]
    assert (pretrained.parent / "model_final.pt").is_file() and (pretrained.parents[1] / "curation.csv").is_file()


def test_crops_are_drawn_by_the_labels_where_a_replication_asks_for_it(run_bundle, phantoms, tmp_path):
    for name in ("dataset.json", "imagesTr", "labelsTr"):  # not imagesTs, which pretraining takes of a dataset
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(phantoms / "labelled" / name)
    knobs = {"dataset_dir": tmp_path / "data", "output_dir": tmp_path / "out", "ckpt_dir": tmp_path / "models"}
    done = run_bundle("vit_mae_pretrain", ["train", "tiny"], max_epochs=1, label_crops=True, **knobs)
    assert "training cases 6" in done.stdout and (tmp_path / "models" / "model.pt").is_file()
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


@every(SEGMENTATIONS)
def test_segmentation_scores_are_those_of_the_written_masks(bundles, run_bundle, labelled, tmp_path, finetune, name):
    common = {"cwd": tmp_path, "ckpt_dir": finetune(name), "dataset_dir": labelled(name)}
    run_bundle(bundles / name, ["train", "evaluate", "tiny"], output_dir=tmp_path / "metrics", **common)
    run_bundle(bundles / name, ["inference", "tiny"], output_dir=tmp_path / "masks", **common)
    dataset = CARDS[name]["dataset"]
    classes = dataset.get("regions") or {key: value for key, value in dataset["labels"].items() if value != 0}
    report = json.loads((tmp_path / "metrics" / "metrics.json").read_text())
    rows = list(csv.DictReader((tmp_path / "metrics" / "metrics.csv").open()))
    assert report["part"] == "test" and len(rows) == len(report["cases"]) == 2 * len(classes)
    for row in report["cases"]:
        predicted = nib.load(tmp_path / "masks" / f"{row['case']}_seg.nii.gz")
        reference = nib.load(labelled(name) / "labelsTr" / f"{row['case']}.nii.gz")
        assert np.allclose(predicted.affine, reference.affine) and predicted.shape == reference.shape
        p, r = (np.isin(np.asarray(image.dataobj), classes[row["class"]]) for image in (predicted, reference))
        assert row["dsc"] == pytest.approx(2 * (p & r).sum() / (p.sum() + r.sum()), abs=1e-6)


@every(SEGMENTATIONS)
def test_inference_needs_no_more_than_input_and_output(bundles, run_bundle, labelled, tmp_path, finetune, name):
    """A bundle folder with weights, run from inside, on an oblique scan of other orientation and spacing."""
    bundle = tmp_path / name
    shutil.copytree(bundles / name, bundle, ignore=shutil.ignore_patterns("models", "eval"))
    shutil.copytree(finetune(name), bundle / "models")
    shutil.copy(bundle / "configs" / "tiny.json", bundle / "configs" / "preset.json")
    source = nib.load(next((labelled(name) / "imagesTr").iterdir()))
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.2, 0.9, 1.5])
    affine[:3, 3] = (30, -20, 10)
    nib.save(nib.Nifti1Image(np.asarray(source.dataobj), affine), tmp_path / "oblique.nii.gz")
    run_bundle(bundle, ["inference", "preset"], cwd=bundle, dataset_dir="../oblique.nii.gz", output_dir="../out")
    written = nib.load(tmp_path / "out" / "oblique_seg.nii.gz")
    assert np.allclose(written.affine, affine, atol=1e-4) and written.shape == source.shape[:3]
    assert set(np.unique(np.asarray(written.dataobj))) <= set(CARDS[name]["dataset"]["labels"].values())


@pytest.mark.parametrize("other", SMALL)
def test_another_network_by_its_overlay(bundles, run_bundle, phantoms, tmp_path, pretrain, other):
    knobs = {"cwd": tmp_path, "ckpt_dir": tmp_path / "models", "patch_size": [16, 16, 16]}
    knobs |= {f"network_def__{key}": value for key, value in SMALL[other].items()}
    training = {"dataset_dir": phantoms / "labelled", "pretrained": pretrain(METHODS[other]), "output_dir": tmp_path}
    training |= {"phases": "[['all','ramp',2],['all','poly',None]]"}
    done = run_bundle(bundles / SEGMENTATION, ["train", "tiny", other], **knobs, **training)
    assert "transferred encoder" in done.stdout and "0 skipped" in done.stdout
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
    assert refused.returncode == 1 and "patch_size [18, 16, 16] does not fit" in refused.stderr


def test_the_switches_of_selfmedmae(bundles, run_bundle, labelled, tmp_path):
    """A list of cases that choose the model as well, HD95 in voxels, and label 2 called enhancing tumour."""
    name = "msd_braintumour_segmentation"
    cases = [f"case_{number:02d}" for number in range(8)]
    (tmp_path / "mine.json").write_text(json.dumps({"train": cases[:5], "test": cases[5:]}))
    knobs = {"cwd": tmp_path, "ckpt_dir": tmp_path / "models", "dataset_dir": labelled(name)}
    knobs |= {"split": tmp_path / "mine.json", "max_epochs": 1, "reported_classes": "['tumour core']"}
    presets = ["selfmedmae", "selfmedmae_et", "tiny"]
    done = run_bundle(bundles / name, ["train", *presets], output_dir=tmp_path / "out", **knobs)
    assert "model.pt is chosen by them" in done.stdout and "training cases 5, validation cases 3" in done.stdout
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
    assert "transferred encoder" in done.stdout and "0 skipped" in done.stdout


def test_table_3_from_the_command_line(bundles, run_bundle, phantoms, work, pretrained, tmp_path):
    done = run_bundle(
        bundles / SEGMENTATION, ["train", "tiny"], cwd=work, max_epochs=1, dataset_dir=phantoms / "labelled",
        output_dir=tmp_path / "out", ckpt_dir=tmp_path / "models", pretrained=pretrained, transfer="encoder+decoder",
        phases="[['all','ramp',2],['all','poly',None]]", max_lr=1e-4, num_labelled=2,
    )  # fmt: skip
    assert "transferred encoder+decoder" in done.stdout and "training cases 2" in done.stdout


def monai_bundle(*arguments, cwd):
    command = [sys.executable, "-m", "monai.bundle", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


@every(PRETRAININGS + SEGMENTATIONS)
def test_monai_verifies_and_exports(bundles, name, pretrain, finetune, tmp_path):
    weights = pretrain(name) if name in PRETRAININGS else finetune(name) / "model.pt"
    size = json.loads((bundles / name / "configs" / "tiny.json").read_text())["patch_size"]
    shape = [1, len(CARDS[name]["dataset"]["channel_names"]), *size]
    tiny = "['configs/inference.json','configs/tiny.json']"
    common = ("--meta_file", "configs/metadata.json", "--config_file", tiny)
    # some networks take one size only, and the metadata state the default's
    stated = ("--_meta_#network_data_format#inputs#image#spatial_shape", size)
    verified = monai_bundle("verify_net_in_out", "network_def", *common, *stated, cwd=bundles / name)
    assert verified.returncode == 0, verified.stderr
    exported = monai_bundle(
        "ckpt_export", "network_def", "--filepath", tmp_path / "model.ts", "--ckpt_file", weights, *common,
        "--key_in_ckpt", "model", "--use_trace", "True", "--input_shape", shape, cwd=bundles / name,
    )  # fmt: skip
    assert exported.returncode == 0, exported.stderr
    script = torch.jit.load(tmp_path / "model.ts")
    image = torch.randn(shape)
    code = (
        "import sys, torch; from monai.bundle import ConfigParser\n"
        f"parser = ConfigParser(ConfigParser.load_config_files({tiny}))\n"
        "network = parser.get_parsed_content('network_def').eval()\n"
        f"network.load_state_dict(torch.load({str(weights)!r}, weights_only=True)['model'])\n"
        f"torch.save(network(torch.load({str(tmp_path / 'in.pt')!r})), {str(tmp_path / 'out.pt')!r})\n"
    )
    torch.save(image, tmp_path / "in.pt")
    subprocess.run([sys.executable, "-c", code], cwd=bundles / name, check=True)
    torch.testing.assert_close(script(image), torch.load(tmp_path / "out.pt"))


def python(code, cwd):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@every(PRETRAININGS + SEGMENTATIONS)
@pytest.mark.parametrize("workflow", ["train", "inference"])
def test_monai_finds_the_properties_it_wants(bundles, phantoms, labelled, tmp_path, name, workflow):
    data = labelled(name) if name in SEGMENTATIONS else phantoms / "unlabelled"
    out = python(
        "import sys; sys.path.insert(0, '.')\n"
        "from monai.bundle import ConfigWorkflow\n"
        f"workflow = ConfigWorkflow(['configs/{workflow}.json', 'configs/tiny.json'], 'configs/metadata.json',\n"
        f"    'configs/logging.conf', workflow_type={workflow!r}, dataset_dir={str(data)!r},\n"
        f"    output_dir={str(tmp_path)!r}, ckpt_dir={str(tmp_path)!r})\n"
        "workflow.initialize()\n"
        "print('missing', workflow.check_properties())\n",
        bundles / name,
    )
    assert "missing []" in out


def test_monai_loads_the_weights_with_another_head(bundles, finetuned, tmp_path):
    shutil.copytree(bundles / SEGMENTATION, tmp_path / SEGMENTATION, ignore=shutil.ignore_patterns("models", "eval"))
    (tmp_path / SEGMENTATION / "models").mkdir()
    shutil.copy(finetuned / "model.pt", tmp_path / SEGMENTATION / "models")
    override = {"features": [4, 8], "num_blocks": [1, 1], "strides": [1, 2], "out_channels": 5}
    out = python(
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
