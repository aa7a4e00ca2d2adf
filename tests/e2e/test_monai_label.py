"""Two of our bundles and a foreign one in a MONAI Label server: list, infer, correct a label, train, cancel, score."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from tools.release import main as release

pytest.importorskip("monailabel", reason="needs the environment of requirements-label.txt")
import requests  # noqa: E402  comes with MONAI Label

pytestmark = pytest.mark.slow
FIRST, SECOND, FOREIGN = "hippocampus_segmentation", "acdc_segmentation", "bright_voxels"
OTHER_VERSION = """

_call = MirroredSlidingWindowInferer.__call__
MirroredSlidingWindowInferer.__call__ = lambda self, *args: _call(self, *args).flip(1)
"""
FOREIGN_NETWORK = """
import torch


class ResEncUNet(torch.nn.Module):
    def forward(self, x):
        return torch.cat([torch.zeros_like(x), x - x.mean()], 1)
"""
CASES = 6


@pytest.fixture(scope="module")
def app(run_bundle, labelled, tmp_path_factory):
    """MONAI Label's app for bundles with a foreign one and two of ours, made small and trained for some steps.

    The second has other code than the first, as another version might.
    """
    folder = tmp_path_factory.mktemp("label") / "app"
    shutil.copytree(Path(sys.prefix) / "monailabel" / "sample-apps" / "monaibundle", folder)
    zips = folder.parent / "dist"
    release(FIRST, SECOND, output_dir=str(zips))
    for name in (FIRST, SECOND):
        with zipfile.ZipFile(next(zips.glob(f"{name}_v*.zip"))) as archive:
            archive.extractall(folder / "model")
        bundle = folder / "model" / name
        tiny = json.loads((bundle / "configs" / "tiny.json").read_text())
        for workflow in ("train", "inference"):  # MONAI Label reads one file, so the preset must stand in it
            bake(bundle / "configs" / f"{workflow}.json", tiny)
        run_bundle(bundle, ["train"], dataset_dir=labelled(name), output_dir=folder.parent / name)
    code = folder / "model" / SECOND / "scripts" / "inferers" / "mirrored.py"
    code.write_text(code.read_text() + OTHER_VERSION)
    write_foreign(folder / "model" / FOREIGN)
    return folder


def write_foreign(bundle: Path) -> None:
    """A bundle as the model zoo has them, with a `scripts` of its own that has names of ours."""
    for folder in ("configs", "models", "scripts"):
        (bundle / folder).mkdir(parents=True)
    (bundle / "scripts" / "__init__.py").touch()
    (bundle / "scripts" / "networks.py").write_text(FOREIGN_NETWORK)
    pred = {"type": "image", "channel_def": {"0": "background", "1": "bright"}}
    metadata = {"network_data_format": {"inputs": {"image": {"num_channels": 1}}, "outputs": {"pred": pred}}}
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))
    config = {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "device": "cpu",
        "network_def": {"_target_": "scripts.networks.ResEncUNet"},
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
            ],
        },
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "AsDiscreted", "keys": "pred", "argmax": True}],
        },
    }
    (bundle / "configs" / "inference.json").write_text(json.dumps(config))
    torch.save({}, bundle / "models" / "model.pt")


@pytest.fixture(scope="module")
def studies(app, real_data_or_none, labelled):
    """A folder of unlabelled images: real hippocampi, or generated ones."""
    folder = app.parent / "studies"
    folder.mkdir()
    source = real_data_or_none / "Task04_Hippocampus" if real_data_or_none else labelled(FIRST)
    for path in sorted((source / "imagesTr").glob("[!.]*.nii.gz"))[:CASES]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def server(app, studies):
    """Address of a running server; it is stopped at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--conf", "models", f"{FIRST},{SECOND},{FOREIGN}"]
    command += ["--conf", "epistemic_model", FIRST, "--conf", "epistemic_simulation_size", "2"]
    env = {**os.environ, "BUNDLE_DOWNLOAD_SRC": "github", "OMP_NUM_THREADS": "1"}  # folders that are there suffice
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"  # where MONAI Label looks for torchrun
    log = app.parent / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, env=env, stdout=file, stderr=file, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{address}/info/"), 180, lambda: process.poll() is None, log)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def test_both_bundles_are_listed_with_their_labels(server, card):
    models = requests.get(f"{server}/info/").json()["models"]
    for name in (FIRST, SECOND):
        values = card(name)["dataset"]["labels"]
        assert models[name]["labels"] == {label: value for label, value in values.items() if value}
        assert models[name]["type"] == "segmentation" and models[name]["dimension"] == 3


def test_inference_equals_the_bundle_run_on_its_own(server, app, studies, run_bundle, tmp_path):
    image = sorted(studies.glob("*.nii.gz"))[0]
    for name in (FIRST, SECOND, FIRST):  # neither runs the other's code, whatever ran before
        found = infer(server, name, image, tmp_path)
        output = tmp_path / name
        run_bundle(app / "model" / name, ["inference"], dataset_dir=image, output_dir=output)
        expected = nib.load(next(output.rglob("*.nii.gz")))
        np.testing.assert_allclose(found.affine, expected.affine, atol=1e-5)
        assert found.shape == nib.load(image).shape
        np.testing.assert_array_equal(np.asanyarray(found.dataobj), np.asanyarray(expected.dataobj))
        assert len(np.unique(np.asanyarray(found.dataobj))) > 1
        voxels = np.asanyarray(nib.load(image).dataobj)
        bright = np.asanyarray(infer(server, FOREIGN, image, tmp_path).dataobj)
        np.testing.assert_array_equal(bright, voxels > voxels.mean())


TWO_PROCESSES = {"force_multi_gpu": True, "gpus": "0,1", "val_split": 0.4}  # as on two GPUs, here on the CPU


@pytest.mark.parametrize("options", [{}, {"val_split": 0}, TWO_PROCESSES], ids=["", "no validation", "two processes"])
def test_corrected_labels_train_the_model_that_is_served_next(server, app, studies, tmp_path, options):
    images = sorted(studies.glob("*.nii.gz"))
    for image in images[:-1]:
        label = halves(nib.load(image))
        path = tmp_path / image.name
        nib.save(label, path)
        with path.open("rb") as file:
            answer = requests.put(
                f"{server}/datastore/label",
                params={"image": image.name.removesuffix(".nii.gz"), "tag": "final"},
                files={"label": (image.name, file)},
            )
        answer.raise_for_status()
    model = app / "model" / FIRST / "models" / "model.pt"
    before = model.read_bytes()
    wanted = {"model": FIRST, "max_epochs": 1, "val_split": 0.2, "multi_gpu": False, "device": "cpu", **options}
    answer = requests.post(f"{server}/train/{FIRST}", params={"run_sync": True}, json=wanted, timeout=600)
    answer.raise_for_status()
    assert model.read_bytes() != before, (app.parent / "server.log").read_text()[-6000:]
    assert infer(server, FIRST, images[0], tmp_path).shape == nib.load(images[0]).shape


def test_training_is_cancelled_and_goes_on(server, app, studies, tmp_path):
    wanted = {"model": FIRST, "max_epochs": 1000, "val_split": 0.2, "multi_gpu": False, "device": "cpu"}
    requests.post(f"{server}/train/{FIRST}", json=wanted).raise_for_status()
    model = app / "model" / FIRST / "models" / "model.pt"
    before = model.stat().st_mtime
    wait_for(lambda: running(server), 60)
    wait_for(lambda: model.stat().st_mtime > before, 120, lambda: running(server), app.parent / "server.log")
    requests.delete(f"{server}/train/").raise_for_status()
    wait_for(lambda: not running(server), 60)
    image = sorted(studies.glob("*.nii.gz"))[0]
    assert infer(server, FIRST, image, tmp_path).shape == nib.load(image).shape  # what was saved last is whole
    requests.post(
        f"{server}/train/{FIRST}", params={"run_sync": True}, json={**wanted, "max_epochs": 1}, timeout=600
    ).raise_for_status()


def test_images_without_labels_are_scored_after_training(server, app, studies):
    name = sorted(studies.glob("*.nii.gz"))[-1].name.removesuffix(".nii.gz")

    def score():
        return requests.get(f"{server}/datastore/image/info", params={"image": name}).json().get("epistemic_entropy")

    wait_for(lambda: score() is not None, 120, log=app.parent / "server.log")
    assert np.isfinite(float(score()))


def bake(path: Path, overlay: dict) -> None:
    """Write an overlay's ids into a config."""
    from monai.bundle import ConfigParser

    parser = ConfigParser(json.loads(path.read_text()))
    for key, value in overlay.items():
        if key.split("#")[0] in parser.config:
            parser[key] = value
    path.write_text(json.dumps(parser.config, indent=4))


def infer(server: str, name: str, image: Path, folder: Path) -> nib.Nifti1Image:
    """Ask for an image's label map and load it."""
    answer = requests.post(
        f"{server}/infer/{name}",
        params={"image": image.name.removesuffix(".nii.gz"), "output": "image"},
        data={"params": json.dumps({"device": "cpu"})},
        timeout=600,
    )
    assert answer.ok, answer.text
    path = folder / f"label_of_{name}.nii.gz"
    path.write_bytes(answer.content)
    return nib.load(path)


def halves(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """What a user might draw: bright voxels, in front 1 and behind 2."""
    voxels = np.asanyarray(image.dataobj)
    label = (voxels > np.quantile(voxels, 0.8)).astype(np.uint8)
    label[:, label.shape[1] // 2 :] *= 2
    return nib.Nifti1Image(label, image.affine)


def running(server: str) -> bool:
    """Whether a training is under way."""
    return requests.get(f"{server}/train/", params={"check_if_running": True}).ok


def answers(address: str) -> bool:
    """Whether anything comes back from there."""
    try:
        return requests.get(address, timeout=60).ok
    except requests.ConnectionError:
        return False


def wait_for(condition, seconds: float, alive=lambda: True, log: Path | None = None) -> None:
    """Wait until a condition holds; fail after some time, or when what should bring it about has ended."""
    end = time.monotonic() + seconds
    while not condition():
        assert alive() and time.monotonic() < end, log.read_text()[-8000:] if log else "waited too long"
        time.sleep(1)
