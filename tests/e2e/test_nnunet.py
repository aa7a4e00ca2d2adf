"""nnU-Net itself plans, loads our weights, gives our features, trains and predicts; we read what it trained."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import LoadImage, Orientation
from torch import nn

from scripts.checkpoints import transfer_weights
from scripts.files import save_tensors
from scripts.networks import ResEncUNet, Spark3D
from tools import convert

pytest.importorskip("nnunetv2", reason="needs requirements-nnunet.txt")
from nnunetv2.imageio.reader_writer_registry import recursive_find_reader_writer_by_name  # noqa: E402
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights  # noqa: E402
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans  # noqa: E402

pytestmark = pytest.mark.slow
FORM = {"features": (4, 8, 8), "num_blocks": (1, 3, 2), "strides": (1, 2, (2, 2, 1))}
PRETRAINING = {"spacing": [2.0, 2.0, 3.0], "patch_size": [24, 24, 12], "normalization": "z-score over the crop"}
DATASET = "Dataset904_Phantoms"
SHORT = """
from nnunetv2.run.run_training import run_training_entry
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

whole = nnUNetTrainer.initialize

def short(self):
    self.num_epochs = self.num_iterations_per_epoch = self.num_val_iterations_per_epoch = 1
    whole(self)

nnUNetTrainer.initialize = short
if __name__ == "__main__":
    run_training_entry()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, phantoms):
    """Six labelled phantoms of one channel as a raw dataset of nnU-Net."""
    folder = tmp_path_factory.mktemp("nnunet")
    raw = folder / "raw" / DATASET
    for name in ("imagesTr", "labelsTr"):
        (raw / name).mkdir(parents=True)
    for image in sorted((phantoms / "labelled" / "imagesTr").glob("*.nii.gz"))[:6]:
        shutil.copy(image, raw / "imagesTr" / image.name.replace(".nii.gz", "_0000.nii.gz"))
        shutil.copy(phantoms / "labelled" / "labelsTr" / image.name, raw / "labelsTr")
    labels = {"background": 0, "Anterior": 1, "Posterior": 2}
    content = {"channel_names": {"0": "MRI"}, "labels": labels, "numTraining": 6, "file_ending": ".nii.gz"}
    (raw / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def nnunet(folder):
    """Return a function that runs a command of nnU-Net, or a script, on that dataset."""
    env = os.environ | {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    env |= {"nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1", "nnUNet_compile": "f", "OMP_NUM_THREADS": "1"}

    def run(command, *arguments):
        start = [str(Path(sys.executable).parent / command)] if isinstance(command, str) else [sys.executable, command]
        done = subprocess.run([*start, *map(str, arguments)], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout

    return run


@pytest.fixture(scope="module")
def planned(nnunet, folder):
    """The plans that nnU-Net makes for the dataset."""
    nnunet("nnUNetv2_plan_and_preprocess", "-d", 904, "-pl", "nnUNetPlannerResEncL", "-npfp", 1, "--no_pp", "--no_pbar")
    return folder / "preprocessed" / DATASET / "nnUNetResEncUNetLPlans.json"


@pytest.fixture(scope="module")
def pretrained():
    """An autoencoder whose tensors all differ from those of a new network."""
    torch.manual_seed(0)
    model = Spark3D(ResEncUNet(1, 1, weight_init="default", **FORM), cell_size=(4, 4, 2)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def weights(planned, pretrained):
    """The file for `-pretrained_weights`, written together with plans."""
    folder = planned.parents[2]
    save_tensors({"model": pretrained.state_dict(), "plan": PRETRAINING}, folder / "model.pt")
    convert.to_nnunet(str(folder / "model.pt"), str(folder / "weights.pth"), plans=str(planned))
    return folder / "weights.pth"


def network_of(plans: Path, channels: int = 1) -> nn.Module:
    """The network that nnU-Net builds by its plans for three classes."""
    described = json.loads(plans.read_text())["configurations"]["3d_fullres"]["architecture"]
    names = ("network_class_name", "arch_kwargs", "_kw_requires_import")
    return get_network_from_plans(*map(described.get, names), channels, 3, deep_supervision=True).eval()


def zyx(volume: torch.Tensor) -> torch.Tensor:
    """Turn a scan into the axes that nnU-Net has."""
    return volume.transpose(2, 4)


def assert_same(ours: nn.Module, theirs: nn.Module, channels: int = 1, decoder: bool = False) -> None:
    """Compare features, and on demand what the finest head gives, in double precision."""
    image = torch.randn(2, 1, 24, 16, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = copy.deepcopy(ours).double().eval(), copy.deepcopy(theirs).double().eval()
    with torch.no_grad():
        found = theirs.encoder(zyx(image).expand(-1, channels, -1, -1, -1))
        for own, other in zip(ours.encoder(image), found, strict=True):
            torch.testing.assert_close(zyx(other), own)
        assert found[-1].std() > 0.1
        if decoder:
            torch.testing.assert_close(zyx(theirs(zyx(image))[0]), ours(image))


@pytest.mark.parametrize("channels", [1, 2])
def test_nnunets_loader_takes_everything_but_the_heads(planned, weights, pretrained, channels):
    network = network_of(planned.with_name("nnUNetMAEPlans.json"), channels)
    if channels > 1:
        convert.to_nnunet(str(weights.with_name("model.pt")), str(weights.with_name("two.pth")), in_channels=channels)
        weights = weights.with_name("two.pth")
    before = copy.deepcopy(network.state_dict())
    load_pretrained_weights(network, str(weights))
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]) == (".seg_layers." in key), key
    assert_same(pretrained.network, network, channels)
    if channels == 1:  # with our head in place of theirs the decoder gives our reconstruction as well
        network.decoder.seg_layers[-1] = pretrained.network.decoder.seg_layers[-1]
        assert_same(pretrained.network, network, decoder=True)


def test_nnunets_loader_refuses_its_own_plans(planned, weights):
    with pytest.raises(AssertionError, match="does not seem to be compatible|do not seem to be compatible"):
        load_pretrained_weights(network_of(planned), str(weights))


def test_reader_of_the_plans_turns_scans_as_the_pretraining_does(planned, weights, tmp_path):
    affine = np.array([[0, 0, 2.0, 5], [-1.5, 0, 0, 7], [0, -3.0, 0, 9], [0, 0, 0, 1]])  # axes are A-P, S-I, L-R
    volume = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    nib.save(nib.Nifti1Image(volume, affine), tmp_path / "scan.nii.gz")
    reader = json.loads(planned.with_name("nnUNetMAEPlans.json").read_text())["image_reader_writer"]
    found, properties = recursive_find_reader_writer_by_name(reader)().read_images([str(tmp_path / "scan.nii.gz")])
    ours = Orientation("RAS", labels=None)(
        LoadImage(image_only=True, ensure_channel_first=True)(tmp_path / "scan.nii.gz")
    )
    np.testing.assert_array_equal(found.transpose(0, 3, 2, 1), np.asarray(ours))
    np.testing.assert_allclose(properties["spacing"][::-1], np.asarray(ours.pixdim))


def test_nnunet_trains_from_our_weights_and_we_go_on_from_its(nnunet, folder, planned, weights, tmp_path):
    nnunet("nnUNetv2_preprocess", "-d", 904, "-plans_name", "nnUNetMAEPlans", "-c", "3d_fullres", "-np", 1, "--no_pbar")
    script = tmp_path / "train.py"
    script.write_text(SHORT)
    chosen = ("-p", "nnUNetMAEPlans", "-device", "cpu")
    said = nnunet(script, 904, "3d_fullres", 0, *chosen, "-pretrained_weights", weights)
    assert f"Loading pretrained weights from file  {weights}" in said and "Validation complete" in said
    result = folder / "results" / DATASET / "nnUNetTrainer__nnUNetMAEPlans__3d_fullres" / "fold_0"

    theirs = network_of(planned.with_name("nnUNetMAEPlans.json"))
    theirs.load_state_dict(convert.read_nnssl(result / "checkpoint_final.pth")["network_weights"])
    convert.from_nnssl(str(result / "checkpoint_final.pth"), str(tmp_path / "model.pt"))
    ours = transfer_weights(ResEncUNet(1, 3, **FORM).eval(), tmp_path / "model.pt", "encoder+decoder")
    assert_same(ours, theirs, decoder=True)
    start = torch.load(weights, weights_only=True)["network_weights"]
    moved = [(value - start[key]).abs().max() for key, value in theirs.state_dict().items() if key in start]
    assert 0 < max(moved) < 0.1  # one step away from the pretrained weights
    plan = torch.load(tmp_path / "model.pt", weights_only=True)["plan"]
    assert plan["spacing"] == PRETRAINING["spacing"] and plan["patch_size"] == [20, 24, 12]  # images are short

    source = folder / "raw" / DATASET / "imagesTr"
    shutil.copy(sorted(source.glob("*.nii.gz"))[0], tmp_path / "case_0000.nii.gz")
    nnunet(
        "nnUNetv2_predict", "-d", 904, "-c", "3d_fullres", "-f", 0, *chosen, "-i", tmp_path, "-o", tmp_path / "output",
        "-npp", 1, "-nps", 1, "--disable_tta",
    )  # fmt: skip
    found, given = nib.load(tmp_path / "output" / "case.nii.gz"), nib.load(tmp_path / "case_0000.nii.gz")
    assert found.shape == given.shape and set(np.unique(found.dataobj)) <= {0, 1, 2}
    np.testing.assert_allclose(found.affine, given.affine, atol=1e-5)
