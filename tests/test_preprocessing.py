"""What a network is fine-tuned on must look as what it was pretrained on."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from tools.project import ROOT


def preprocessed(bundle, config, section, item):
    parser = ConfigParser(ConfigParser.load_config_file(ROOT / "bundles" / bundle / "configs" / f"{config}.json"))
    parser.update({"bundle_root": str(ROOT / "bundles" / bundle), "spacing": [1.0, 1.0, 1.0]})
    return parser.get_parsed_content(section)(item)["image"]


@pytest.fixture
def scan(tmp_path):
    """A head in a field of view of which most is zero."""
    generator = np.random.default_rng(0)
    voxels, label = np.zeros((40, 36, 32), np.float32), np.zeros((40, 36, 32), np.uint8)
    voxels[10:30, 12:28, 8:24] = generator.uniform(50, 150, (20, 16, 16))
    label[15:20, 15:20, 12:16] = 1
    paths = {"image": f"{tmp_path}/scan.nii.gz", "label": f"{tmp_path}/label.nii.gz"}
    for path, content in zip(paths.values(), (voxels, label), strict=True):
        nib.save(nib.Nifti1Image(content, np.diag([-1.0, -1.0, 1.0, 1.0])), path)
    return paths


@pytest.mark.parametrize("bundle", ["atlas_stroke_segmentation", "hippocampus_segmentation"])
@pytest.mark.parametrize(
    ("config", "section"),
    [("train", "train#preprocessing"), ("train", "validate#preprocessing"), ("inference", "preprocessing")],
)
def test_a_scan_is_cropped_and_scaled_as_in_pretraining(bundle, config, section, scan):
    found = preprocessed(bundle, config, section, dict(scan))
    pretrained = preprocessed("spark3d_pretrain", "train", "train#preprocessing", {"image": scan["image"]})
    assert found.shape == pretrained.shape == (1, 20, 16, 16)
    torch.testing.assert_close(found.as_tensor(), pretrained.as_tensor(), atol=1e-5, rtol=1e-5)
    assert found.mean().item() == pytest.approx(0, abs=1e-4) and found.std().item() == pytest.approx(1, abs=1e-2)
