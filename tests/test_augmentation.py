"""Random transforms move image and label together: interpolation must not shift one against the other."""

import json

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from scipy.ndimage import center_of_mass

from tools.project import ROOT

CONFIG = json.loads((ROOT / "bundles/hippocampus_segmentation/configs/train.json").read_text())
MOVING = (
    "scripts.transforms.RandRotateZoomd",
    "RandFlipd",
    "scripts.transforms.RandLowResolution",
    "RandGaussianSmooth",
)


def kind(step):
    return step.get("transform", step)["_target_"]


STEPS = [step for step in CONFIG["train"]["random_transforms"]["transforms"] if kind(step) in MOVING]
CENTRE, WIDTHS = (22.3, 30.6, 27.1), (40.0, 90.0, 40.0)


@pytest.fixture(scope="module")
def blob():
    """A bell of intensities, off the centre, and a label of its upper half: both (1, 50, 70, 50)."""
    axes = torch.meshgrid(*[torch.arange(n, dtype=torch.float32) for n in (50, 70, 50)], indexing="ij")
    distance = sum((x - c) ** 2 / w for x, c, w in zip(axes, CENTRE, WIDTHS, strict=True))
    image = torch.exp(-distance)[None]
    return {"image": image, "label": (image > 0.5).float()}


@pytest.mark.parametrize("step", STEPS, ids=[f"{kind(step)}{step.get('spatial_axis', '')}" for step in STEPS])
def test_image_and_label_stay_together(step, blob):
    always = step | {"prob": 1.0}
    if "transform" in step:
        always["transform"] = step["transform"] | {"prob": 1.0}
    parser = ConfigParser({**CONFIG, "step": always, "zoom_range": [0.7, 1.4]})
    transform = parser.get_parsed_content("step")
    apart = []
    for seed in range(12):
        transform.set_random_state(seed)
        moved = transform(dict(blob))
        image = np.asarray(moved["image"][0])
        apart.append(np.subtract(centre(np.asarray(moved["label"][0]) > 0.5), centre(image > image.max() / 2)))
    assert np.abs(np.mean(apart, axis=0)).max() < 0.15  # voxels; nearest-neighbour resizing by torch's "nearest": 0.5


def centre(mask):
    return center_of_mass(mask.astype(float))


def test_every_kind_is_looked_at():
    assert {kind(step) for step in STEPS} == set(MOVING)


@pytest.mark.parametrize(
    ("bundle", "knobs", "largest"),
    [
        ("acdc_segmentation", {}, (0, 0, 180)),
        ("hippocampus_segmentation", {}, (30, 30, 30)),
        ("hippocampus_segmentation", {"patch_size": [16, 64, 64]}, (180, 0, 0)),
        ("acdc_segmentation", {"max_rotation": 15}, (0, 0, 15)),
    ],
)
def test_only_thin_patches_turn_by_more_than_30_degrees(bundle, knobs, largest):
    """As in nnU-Net: about the short axis no side is up, in a whole volume one is."""
    config = json.loads((ROOT / "bundles" / bundle / "configs/train.json").read_text())
    turning = ConfigParser(config | knobs).get_parsed_content("train#random_transforms#transforms#0")
    turning.set_random_state(0)
    drawn = []
    for _ in range(2000):
        turning.randomize()
        drawn.append(np.degrees(np.abs(turning.angles)))
    np.testing.assert_allclose(np.max(drawn, axis=0), largest, rtol=0.02)
