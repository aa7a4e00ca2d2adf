"""A trained segmentation network goes on with a user's own labels and channels, by `--labels` and `--channels`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from tests.small_networks import SMALL
from tests.warm_runs import Finished, run_warm
from tools.project import ROOT

pytestmark = pytest.mark.slow
BUNDLE = ROOT / "bundles" / "hippocampus_segmentation"
FIRST = {"background": 0, "anterior": 1, "posterior": 2}
HEADS = {"resenc": "decoder.seg_layers.", "unetr": "decoder.head.", "nnformer": "decoder.heads."}
SIZE = (20, 18, 19)
# the network, the form it is given in, the user's labels and channels
ROADS = [
    ("resenc", "zip", {"background": 0, "hippocampus": 1}, 1),
    ("unetr", "folder", {"background": 0, "head": 1, "body": 2, "tail": 3}, 2),
    ("nnformer", "file", {"background": 0, "liver": 1, "tumour": 2}, 1),  # as many as before, but others
]


def write_dataset(folder: Path, labels: dict[str, int], channels: int) -> Path:
    """Write six cases in MSD layout with boxes of every label."""
    cases = []
    for number in range(6):
        label = np.zeros(SIZE, np.uint8)
        for value in labels.values():
            label[4 * value : 4 * value + 4, 5:12, 6:14] = value
        image = np.random.default_rng(number).normal(100, 20, SIZE) + 50 * label
        cases.append({"image": f"imagesTr/c{number}.nii.gz", "label": f"labelsTr/c{number}.nii.gz"})
        for key, voxels in (("image", np.stack([image] * channels, -1).squeeze()), ("label", label)):
            (folder / cases[-1][key]).parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(voxels.astype(np.float32 if key == "image" else np.uint8), np.eye(4)),
                     folder / cases[-1][key])  # fmt: skip
    content = {"labels": {str(value): name for name, value in labels.items()}, "training": cases}
    content["modality"] = {str(number): f"contrast {number}" for number in range(channels)}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def run(work: Path, network: str, *configs: str, **knobs: Any) -> Finished:
    """Run the bundle with a small network from `work`."""
    work.mkdir(parents=True, exist_ok=True)
    configs = (configs[0], "tiny", *configs[1:], *([network] if network in SMALL else []))
    files = [str(BUNDLE / "configs" / f"{name}.json") for name in configs]
    small = {f"network_def#{key}": value for key, value in SMALL.get(network, {}).items()}
    knobs = {"bundle_root": BUNDLE, "output_dir": work, "patch_size": [16, 16, 16], **small, **knobs}
    if configs[0] == "train":
        knobs["phases"] = "[['all','poly',None]]"
    arguments = [text for key, value in knobs.items() for text in (f"--{key}", str(value))]
    return run_warm(["monai.bundle", "run", "--config_file", str(files), *arguments], work)


def state(folder: Path) -> dict[str, torch.Tensor]:
    content: dict[str, Any] = torch.load(folder / "model.pt", weights_only=True)
    return content["model"]


def given_as(form: str, bundle: Path) -> Path:
    """The trained bundle as a user may have it."""
    if form == "zip":
        with zipfile.ZipFile(bundle / "released.zip", "w") as archive:
            archive.write(bundle / "models" / "model.pt", "hippocampus_segmentation/models/model.pt")
    return {"zip": bundle / "released.zip", "folder": bundle, "file": bundle / "models" / "model.pt"}[form]


@pytest.mark.parametrize("network, form, labels, channels", ROADS, ids=[road[0] for road in ROADS])
def test_the_head_is_new_the_rest_is_kept_and_the_labels_are_followed(
    tmp_path: Path, network: str, form: str, labels: dict[str, int], channels: int
) -> None:
    first = write_dataset(tmp_path / "first", FIRST, 1)
    own = write_dataset(tmp_path / "own", labels, channels)
    trained = tmp_path / "trained"
    done = run(trained, network, "train", dataset_dir=first, ckpt_dir=trained / "models", max_epochs=1)
    assert done.returncode == 0, done.output

    mine = {"labels": labels, "ckpt_dir": tmp_path / "models"}
    mine |= {"channels": [f"contrast {number}" for number in range(channels)]} if channels > 1 else {}
    start = {"pretrained": given_as(form, trained), "transfer": "encoder+decoder", "max_epochs": 1}
    # a rate of zero changes nothing, so that what is written is what was transferred
    done = run(tmp_path / "go", network, "train", dataset_dir=own, **mine, **start, max_lr=0, seed=1)
    assert done.returncode == 0, done.output
    before, after = state(trained / "models"), state(tmp_path / "models")
    head = [key for key in after if key.startswith(HEADS[network])]
    told = f"the head is new, for the classes {', '.join(labels)}: {', '.join(head)}"
    assert told in done.output and "0 left as initialised" in done.output
    plan = torch.load(tmp_path / "models" / "model.pt", weights_only=True)["plan"]
    assert plan["network"]["out_channels"] == len(labels) and plan["network"]["in_channels"] == channels
    for key, value in after.items():
        if key in head:
            assert value.shape != before[key].shape or not torch.equal(value, before[key]) or not value.any(), key
        elif value.shape == before[key].shape:
            assert torch.equal(value, before[key]), key
        else:  # reads the image: one channel repeated
            assert channels == 2 and torch.equal(value, before[key].expand_as(value) / 2), key

    done = run(tmp_path / "scores", network, "train", "evaluate", dataset_dir=own, **mine)
    assert done.returncode == 0, done.output
    report = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert {row["class"] for row in report["cases"]} == set(labels) - {"background"}
    done = run(tmp_path / "masks", network, "inference", dataset_dir=own / "imagesTr" / "c0.nii.gz", **mine)
    assert done.returncode == 0, done.output
    written = np.asarray(nib.load(tmp_path / "masks" / "c0_seg.nii.gz").dataobj)
    assert written.shape == SIZE and set(np.unique(written)) <= set(labels.values())

    # without the knob the labels are the bundle's own: refused where their values differ
    scan = {"dataset_dir": own / "imagesTr" / "c0.nii.gz", **{key: mine[key] for key in mine if key != "labels"}}
    done = run(tmp_path / "forgotten", network, "inference", **scan)
    if len(labels) == len(FIRST):
        assert "the weights' classes are called ['background', 'liver', 'tumour'], here" in done.output
        return
    lines = [line for line in done.output.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(lines) == 1, done.output
    assert f'was trained for the labels {labels}, here they are {FIRST}: give --labels "{labels}"' in lines[0]
    assert not list((tmp_path / "forgotten").glob("*.nii.gz"))
