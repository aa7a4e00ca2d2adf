"""What a user can get wrong ends in one clear line, and leaves nothing half-written."""

import csv
import io
import itertools
import json
import shutil
import sys
import zipfile

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from tests.warm_runs import run_warm
from tools.project import ROOT

PRETRAIN, SEGMENT = "spark3d_pretrain", "hippocampus_segmentation"
PRETRAIN_2D, CLASSIFY = "vit_mae_chestxray_pretrain", "chestxray14_classification"
SIZE = (24, 20, 22)


def write_nifti(path, voxels):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.asarray(voxels), np.eye(4)), path)
    return path


def scan(seed, size=SIZE):
    return np.random.default_rng(seed).normal(100, 20, size).astype(np.float32)


def with_nan(seed=0):
    voxels = scan(seed)
    voxels[3, 4, 5] = np.nan
    return voxels


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def scans(tmp_path):
    for number in range(4):
        write_nifti(tmp_path / f"scans/s{number}.nii.gz", scan(number))
    return tmp_path / "scans"


@pytest.fixture
def dataset(tmp_path):
    """Return a labelled dataset in MSD layout; its second case is the one that tests spoil."""
    folder = tmp_path / "dataset"
    label = np.zeros(SIZE, np.uint8)
    label[8:16, 6:10, 6:14], label[8:16, 10:14, 6:14] = 1, 2
    for number in range(8):
        write_nifti(folder / f"imagesTr/h{number}.nii.gz", scan(number) + 50 * label)
        write_nifti(folder / f"labelsTr/h{number}.nii.gz", label)
    cases = [{"image": f"imagesTr/h{n}.nii.gz", "label": f"labelsTr/h{n}.nii.gz"} for n in range(8)]
    content = {"labels": {"0": "background", "1": "anterior", "2": "posterior"}, "modality": {"0": "MRI"}}
    (folder / "dataset.json").write_text(json.dumps({**content, "training": cases}))
    return folder


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a bundle from a folder of no bundle's."""
    counter = itertools.count()

    def run(bundle, configs=("train", "tiny"), max_file_bytes=None, **knobs):
        cwd = tmp_path / f"cwd{next(counter)}"
        cwd.mkdir()
        root = ROOT / "bundles" / bundle
        knobs = {"bundle_root": root, "output_dir": tmp_path / "out", "ckpt_dir": tmp_path / "models", **knobs}
        files = [str(root / "configs" / f"{name}.json") for name in configs]
        arguments = [text for key, value in knobs.items() for text in (f"--{key.replace('__', '#')}", str(value))]
        return run_warm(["monai.bundle", "run", "--config_file", str(files), *arguments], cwd, max_file_bytes)

    return run


@pytest.fixture
def refused(tmp_path):
    """Return a function that checks how a run ended, and gives its one line."""

    def check(finished, *words, kept=()):
        assert finished.returncode == 1, finished.output
        assert "Traceback" not in finished.output
        lines = [line for line in finished.output.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, finished.output
        assert [word for word in words if word not in lines[0]] == [], lines[0]
        unfinished = [path for path in tmp_path.rglob(".*") if path.is_file()]
        models = [path.name for path in (tmp_path / "models").glob("*")]
        assert unfinished == [] and sorted(models) == sorted(kept)
        return lines[0]

    return check


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Weights of both bundles' tiny networks, as their trainings write them."""
    from scripts.networks import ResEncUNet, Spark3D

    tiny = {"features": (4, 8), "num_blocks": (1, 1), "strides": (1, 2)}
    networks = {PRETRAIN: Spark3D(ResEncUNet(1, 1, **tiny), cell_size=(4, 4, 4)), SEGMENT: ResEncUNet(1, 3, **tiny)}
    folder = tmp_path_factory.mktemp("trained")
    for name, network in networks.items():
        (folder / name / "models").mkdir(parents=True)
        torch.save({"model": network.state_dict(), "plan": {}}, folder / name / "models" / "model.pt")
    return folder


# --- one of each stage as the user runs it: a new interpreter, nothing imported before -------------------------------


@pytest.fixture
def run_cold(run_bundle, tmp_path):
    def run(bundle, configs, *launcher, **knobs):
        (tmp_path / "elsewhere").mkdir()
        folders = {"output_dir": tmp_path / "out", "ckpt_dir": tmp_path / "models"}
        launcher = launcher or (sys.executable,)
        return run_bundle(bundle, configs, *launcher, cwd=tmp_path / "elsewhere", check=False, **folders | knobs)

    return run


@pytest.mark.parametrize("bundle", [PRETRAIN, SEGMENT])
def test_cold_inference_away_from_the_bundle(run_cold, refused, scans, tmp_path, bundle):
    done = run_cold(bundle, ["inference"], dataset_dir=scans, bundle_root=tmp_path)
    refused(done, f"bundle_root is {tmp_path}, which is no bundle", "--bundle_root")


def test_cold_dataset_creation(run_cold, refused, dataset):
    (dataset / "labelsTr/h1.nii.gz").unlink()
    refused(run_cold(SEGMENT, ["train", "tiny"], dataset_dir=dataset), "case h1", "labelsTr/h1.nii.gz is missing")


def test_cold_schedule(run_cold, refused, dataset):
    phases = "[['decoder','ramp',50],['all','poly',None]]"
    finished = run_cold(SEGMENT, ["train", "tiny"], dataset_dir=dataset, phases=phases)
    refused(finished, "take 50 steps, the whole training has 8", "max_epochs")


def test_cold_forward_pass(run_cold, refused, scans):
    # of the evaluator inside the trainer, whose exceptions both report
    knobs = {"dataset_dir": scans, "validate__inferer__patch_size": "[6, 16, 16]"}
    refused(run_cold(PRETRAIN, ["train", "tiny"], **knobs), "not divisible", "[6, 16, 16]")


def test_cold_saving(run_cold, refused, scans):
    limited = ("bash", "-c", 'ulimit -f 16; exec "$@"', "bash", sys.executable)  # in kB
    finished = run_cold(PRETRAIN, ["train", "tiny"], *limited, dataset_dir=scans)
    refused(finished, "cannot be written (File too large)", "free some space")


def test_cold_checkpoint_and_inference(run_cold, refused, scans):
    finished = run_cold(SEGMENT, ["inference", "tiny"], dataset_dir=scans)
    refused(finished, "no checkpoint at", "models/model.pt", "train first")


def test_warm_inference_finds_no_more_code_than_cold(run, refused, scans, tmp_path):
    finished = run(SEGMENT, ("inference",), dataset_dir=scans, bundle_root=tmp_path)
    refused(finished, f"bundle_root is {tmp_path}, which is no bundle")


# --- data ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", [PRETRAIN, SEGMENT])
def test_no_data(run, refused, tmp_path, bundle):
    (tmp_path / "empty").mkdir()
    refused(run(bundle, dataset_dir=tmp_path / "empty"), "empty", "nii.gz" if bundle == PRETRAIN else "dataset.json")
    refused(run(bundle, dataset_dir=tmp_path / "nowhere"), "nowhere", "give")


def test_labels_unfit(run, refused, dataset):
    label = np.asarray(nib.load(dataset / "labelsTr/h1.nii.gz").dataobj)
    write_nifti(dataset / "labelsTr/h1.nii.gz", label[:-1])
    refused(run(SEGMENT, dataset_dir=dataset), "case h1", "(24, 20, 22)", "(23, 20, 22)", "resample")
    write_nifti(dataset / "labelsTr/h1.nii.gz", 3 * label)
    refused(run(SEGMENT, dataset_dir=dataset), "case h1", "the value 3, allowed are", "'posterior': 2", "--labels")


def test_images_unfit_for_training(run, refused, dataset):
    image = dataset / "imagesTr/h1.nii.gz"
    write_nifti(image, scan(1, (*SIZE, 2)))
    refused(run(SEGMENT, dataset_dir=dataset), "case h1", "2 channels of 24 x 20 x 22 voxels where 1 of a 3D scan")
    write_nifti(image, with_nan())
    refused(run(SEGMENT, dataset_dir=dataset), "case h1", "1 voxels of the image are NaN or infinite", "repair")
    truncate(image)
    refused(run(SEGMENT, dataset_dir=dataset), "case h1", "h1.nii.gz cannot be read", "replace or remove")


def test_pretraining_drops_unfit_scans_with_an_account(run, refused, scans, tmp_path):
    write_nifti(scans / "nan.nii.gz", with_nan())
    truncate(write_nifti(scans / "cut.nii.gz", scan(9)))
    write_nifti(scans / "time.nii.gz", scan(8, (*SIZE, 2)))
    finished = run(PRETRAIN, dataset_dir=scans, max_epochs=1, steps_per_epoch=1)
    assert finished.returncode == 0 and "4 of 7 scans kept" in finished.output
    account = {row["case"]: row for row in csv.DictReader((tmp_path / "out/curation.csv").open())}
    reasons = {case: row["reason"].split(":")[0] for case, row in account.items() if row["verdict"] == "dropped"}
    assert reasons == {"nan": "not finite", "cut": "unreadable", "time": "number of channels"}
    for path in scans.glob("s?.nii.gz"):
        path.unlink()
    shutil.rmtree(tmp_path / "models")
    refused(run(PRETRAIN, dataset_dir=scans), "dropped all 3 scans", "curation.csv", "loosen the thresholds")


@pytest.mark.parametrize("bundle", [PRETRAIN, SEGMENT])
def test_images_unfit_for_inference(run, refused, trained, tmp_path, bundle):
    knobs = {"configs": ("inference", "tiny"), "ckpt_dir": trained / bundle / "models"}
    folder = tmp_path / "new"
    write_nifti(folder / "good.nii.gz", scan(0))
    for spoilt, words in {
        write_nifti(tmp_path / "nan.nii.gz", with_nan()): ["1 voxels of the image are NaN", "repair"],
        write_nifti(tmp_path / "time.nii.gz", scan(1, (*SIZE, 2))): ["2 channels of 24 x 20 x 22", "1 of a 3D scan"],
        write_nifti(tmp_path / "slice.nii.gz", scan(1, SIZE[:2])): ["1 channels of 24 x 20 voxels", "1 of a 3D scan"],
        truncate(write_nifti(tmp_path / "cut.nii.gz", scan(1))): ["cut.nii.gz cannot be read", "replace or remove"],
    }.items():
        refused(run(bundle, dataset_dir=spoilt, **knobs), f"case {spoilt.name.split('.')[0]}", *words)
        assert not list((tmp_path / "out").rglob("*.nii.gz"))
    # among good scans as well: reconstruction refuses all before it begins, segmentation does the others
    shutil.copy(tmp_path / "cut.nii.gz", folder / "spoilt.nii.gz")
    refused(run(bundle, dataset_dir=folder, **knobs), "case spoilt", "spoilt.nii.gz cannot be read")
    assert [path.name for path in (tmp_path / "out").rglob("*.nii.gz")] == ["good_seg.nii.gz"] * (bundle == SEGMENT)


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", [PRETRAIN, SEGMENT])
@pytest.mark.parametrize("configs", [("train", "tiny"), ("inference", "tiny"), ("train", "tiny", "evaluate")])
def test_patch_that_does_not_fit_is_refused_before_any_data_are_read(run, refused, tmp_path, bundle, configs):
    refused(run(bundle, configs, patch_size="[17, 16, 16]"), "patch_size [17, 16, 16]", "for example [18, 16, 16]")
    refused(run(bundle, configs, patch_size=16), "patch_size is 16", "three numbers")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("bundle", [PRETRAIN_2D, CLASSIFY])
@pytest.mark.parametrize("configs", [("train", "tiny"), ("inference", "tiny"), ("train", "tiny", "evaluate")])
def test_images_smaller_than_the_patch_are_refused_before_any_are_read(run, refused, xrays, tmp_path, bundle, configs):
    finished = run(bundle, configs, dataset_dir=xrays, image_size="[40, 24]")
    refused(finished, "image_size is [40, 24], here patch_size is [32, 32]", "at least as large")
    assert not (tmp_path / "out/cache").exists()


def test_patch_that_the_masks_do_not_tile(run, refused):
    refused(run(PRETRAIN, patch_size="[18, 16, 16]"), "cells of [4, 4, 4] voxels", "for example [20, 16, 16]")


@pytest.mark.parametrize("ratio", ["1.5", "0", "[0.9,0.6]"])
def test_mask_ratio_out_of_range(run, refused, scans, ratio):
    refused(run(PRETRAIN, dataset_dir=scans, mask_ratio=ratio), "mask_ratio is", "a range such as [0.6, 0.9]")


@pytest.mark.parametrize("bundle", [PRETRAIN, SEGMENT])
def test_malformed_phases(run, refused, scans, dataset, tmp_path, bundle):
    folder = scans if bundle == PRETRAIN else dataset
    refused(
        run(bundle, dataset_dir=folder, phases="[['head','ramp',3],['all','poly',None]]"), "phase ['head'", "decoder"
    )
    refused(run(bundle, dataset_dir=folder, phases="[['all','ramp',3]]"), "the last one null")
    assert not (tmp_path / "out/cache").exists()


def test_axes_to_mirror_are_checked_before_training(run, refused, dataset, tmp_path):
    knobs = {"dataset_dir": dataset, "flip_axes": "[0]"}
    refused(run(SEGMENT, **knobs, mirror_axes="[0, 1]"), "flip_axes is [0], here mirror_axes is [0, 1]", '"[0]"')
    refused(run(SEGMENT, **knobs | {"flip_axes": "[-1]"}), "flip_axes is [-1]", "different axes from 0 to 2")
    assert not (tmp_path / "out/cache").exists()


def test_resume_with_other_settings(run, refused, scans, tmp_path):
    knobs = {"dataset_dir": scans, "max_epochs": 1, "steps_per_epoch": 1}
    assert run(PRETRAIN, **knobs).returncode == 0
    before = files_below(tmp_path / "models")
    finished = run(PRETRAIN, **knobs, spacing="[2.0,2.0,2.0]", max_lr=0.5, resume=True)
    refused(finished, "with spacing [1.0, 1.0, 1.0] (now [2.0, 2.0, 2.0]), max_lr 0.01 (now 0.5)", kept=before)
    finished = run(PRETRAIN, **knobs | {"max_epochs": 2}, resume=True)
    refused(finished, "total_steps (max_epochs x steps_per_epoch) 1 (now 2)", "resume=False", kept=before)
    finished = run(PRETRAIN, **knobs, seed=7, resume=True)
    refused(finished, "training_state.pt belongs to another training, with seed 0 (now 7)", "resume=False", kept=before)
    finished = run(PRETRAIN, **knobs, resume=True, network_def__network__features="[4, 6]")
    refused(finished, "with features of the network [4, 8] (now [4, 6])", kept=before)
    finished = run(PRETRAIN, **knobs, resume=True, network_def__mask_input=False)
    refused(finished, "with mask_input of the network True (now False)", kept=before)
    shutil.copy(tmp_path / "models/model.pt", tmp_path / "models/training_state.pt")
    refused(run(PRETRAIN, **knobs, resume=True), "no state of a training", kept=before)
    assert files_below(tmp_path / "models") == before | {"training_state.pt": before["model.pt"]}


@pytest.mark.parametrize(
    ("bundle", "name", "former", "other"),
    [(CLASSIFY, "layer_decay", 0.75, 0.5), (SEGMENT, "deep_supervision", False, True)],
)
def test_resume_with_another_optimizer_or_loss(run, refused, xrays, dataset, tmp_path, bundle, name, former, other):
    knobs = {"dataset_dir": xrays if bundle == CLASSIFY else dataset, "max_epochs": 1, "steps_per_epoch": 3}
    assert run(bundle, **knobs, **{name: former}).returncode == 0
    before = files_below(tmp_path / "models")
    finished = run(bundle, **knobs | {"max_epochs": 2}, **{name: other}, resume=True)
    refused(finished, f"{name} {former} (now {other})", kept=before)


def test_a_training_that_diverges_ends_and_keeps_no_weights(run, refused, scans):
    refused(run(PRETRAIN, dataset_dir=scans, max_lr=1e30), "is NaN or infinite", "train with a lower max_lr")


def test_a_part_without_cases_is_not_evaluated(run, refused, dataset, trained, tmp_path):
    knobs = {"dataset_dir": dataset, "checkpoint": trained / SEGMENT, "test_fraction": 0}
    finished = run(SEGMENT, ("train", "evaluate", "tiny"), **knobs)
    refused(finished, "evaluated_part is test", "has no cases: give another evaluated_part, split or test_fraction")
    assert not list((tmp_path / "out").glob("metrics*"))


def test_without_cases_to_validate_the_last_model_is_kept(run, refused, dataset, tmp_path):
    """MONAI Label hands over such a list, of one or two submitted labels."""
    refused(run(SEGMENT, dataset_dir=dataset, train__dataset__data=[]), "there are no cases to train on")
    finished = run(SEGMENT, dataset_dir=dataset, validate__dataset__data=[])
    assert finished.returncode == 0, finished.output
    assert "no cases are given to validate or predict" in finished.output
    assert "model.pt (the last one, since nothing was validated)" in finished.output
    model, final = ((tmp_path / "models" / name).read_bytes() for name in ("model.pt", "model_final.pt"))
    assert model == final


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_wrong_pretrained_weights(run, refused, dataset, trained, tmp_path):
    def give(pretrained, *words):
        refused(run(SEGMENT, dataset_dir=dataset, pretrained=pretrained), *words)

    (tmp_path / "noise.pt").write_bytes(np.random.default_rng(0).bytes(5000))
    give(tmp_path / "noise.pt", "noise.pt is not a readable checkpoint", "give a .pt file of weights")
    torch.save(nn.Linear(3, 3).state_dict(), tmp_path / "linear.pt")
    give(tmp_path / "linear.pt", "no encoder", "spark3d_pretrain")
    (tmp_path / "bundle/configs").mkdir(parents=True)
    give(tmp_path / "bundle", "no checkpoint at", "bundle/models/model.pt", "train first")
    with zipfile.ZipFile(tmp_path / "release.zip", "w") as archive:
        archive.writestr("spark3d_pretrain/configs/train.json", "{}")
    give(tmp_path / "release.zip", "release.zip holds no models/model.pt", "give one that was trained")
    torch.save([1, 2], tmp_path / "list.pt")
    give(tmp_path / "list.pt", "list.pt holds no network weights", "state dict")
    finished = run(
        SEGMENT, dataset_dir=dataset, pretrained=trained / PRETRAIN, network_def__features="[4, 6]", resume="False"
    )
    refused(
        finished,
        "encoder",
        "does not match this network",
        "(8, 4, 3, 3, 3) in the file, (6, 4, 3, 3, 3) here",
        "preset",
    )


@pytest.mark.parametrize("bundle", [PRETRAIN, SEGMENT])
@pytest.mark.parametrize("configs", [("inference", "tiny"), ("train", "tiny", "evaluate")])
def test_weights_to_run_are_missing_or_of_another_preset(run, refused, scans, dataset, trained, bundle, configs):
    folder = dataset if (bundle, configs[0]) == (SEGMENT, "train") else scans
    refused(run(bundle, configs, dataset_dir=folder), "no checkpoint at", "models/model.pt")
    features = "network_def__network__features" if bundle == PRETRAIN else "network_def__features"
    finished = run(bundle, configs, dataset_dir=folder, ckpt_dir=trained / bundle / "models", **{features: "[4, 6]"})
    refused(finished, "does not fit this network", "such as the preset")


# --- a full disk -----------------------------------------------------------------------------------------------------


def test_disk_full_while_a_checkpoint_is_saved(run, refused, scans, tmp_path):
    knobs = {"dataset_dir": scans, "max_epochs": 1, "steps_per_epoch": 1, "total_steps": 2}
    assert run(PRETRAIN, **knobs).returncode == 0
    before = files_below(tmp_path / "models")
    limit = len(before["model.pt"]) - 1000
    assert limit > max(path.stat().st_size for path in (tmp_path / "out/cache").iterdir())
    finished = run(PRETRAIN, **knobs | {"max_epochs": 2}, resume=True, max_file_bytes=limit)
    refused(finished, "cannot be written (File too large)", "free some space", kept=before)
    assert files_below(tmp_path / "models") == before


def test_disk_full_while_results_are_saved(run, refused, trained, tmp_path):
    write_nifti(tmp_path / "big.nii.gz", scan(0, (48, 48, 48)))
    knobs = {"dataset_dir": tmp_path / "big.nii.gz", "configs": ("inference", "tiny")}
    for bundle in (PRETRAIN, SEGMENT):
        finished = run(bundle, **knobs, ckpt_dir=trained / bundle / "models", max_file_bytes=3000)
        refused(finished, "big", ".nii.gz cannot be written (File too large)", "free some space")
        assert files_below(tmp_path / "out") == {}


def test_results_of_a_former_run_are_replaced_and_the_log_says_so(run, trained, tmp_path):
    write_nifti(tmp_path / "a.nii.gz", scan(0))
    for bundle, word in ((PRETRAIN, "replacing former ones"), (SEGMENT, "a: its segmentation replaces")):
        knobs = {"configs": ("inference", "tiny"), "ckpt_dir": trained / bundle / "models"}
        outputs = [run(bundle, dataset_dir=tmp_path / "a.nii.gz", **knobs) for _ in range(2)]
        assert [(done.returncode, word in done.output) for done in outputs] == [(0, False), (0, True)]


def test_weights_are_never_unpickled(run, refused, scans, tmp_path):
    import pickle

    class Malicious:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'harm')!r}, 'w')",))

    buffer = io.BytesIO()
    pickle.dump(Malicious(), buffer)
    (tmp_path / "evil.pt").write_bytes(buffer.getvalue())
    finished = run(SEGMENT, ("inference", "tiny"), dataset_dir=scans, checkpoint=tmp_path / "evil.pt")
    refused(finished, "evil.pt is not a readable checkpoint")
    assert not (tmp_path / "harm").exists()
