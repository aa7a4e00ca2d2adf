"""What a network is fine-tuned on must look as what it was pretrained on."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import CenterSpatialCrop

from scripts.errors import plain_message
from tests.dicom_series import write_series
from tools.project import ROOT


def preprocessed(bundle, configs, section, item):
    files = [ROOT / "bundles" / bundle / "configs" / f"{name}.json" for name in configs.split("+")]
    parser = ConfigParser(ConfigParser.load_config_files(files))
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


def with_tilted_gantry(folder, voxels):
    affine = np.eye(4)
    affine[1, 2] = 0.4
    return write_series(folder / "tilted", voxels.astype(np.int16), affine)


def with_nan(folder, voxels):
    path = folder / "nan.nii"
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)
    with path.open("r+b") as file:
        file.seek(280)  # srow_x
        file.write(np.float32(np.nan).tobytes())
    return str(path)


@pytest.mark.parametrize(("write", "refusal"), [(with_tilted_gantry, "gantry tilt"), (with_nan, "NaN or infinite")])
@pytest.mark.parametrize(
    ("bundle", "configs", "section"),
    [
        ("spark3d_pretrain", "train", "train#preprocessing"),
        ("hippocampus_segmentation", "train", "train#preprocessing"),
        ("hippocampus_segmentation", "train+evaluate", "validate#preprocessing"),
        ("hippocampus_segmentation", "inference", "preprocessing"),
    ],
)
def test_what_the_reader_refuses_is_read_by_no_other(bundle, configs, section, write, refusal, scan, tmp_path):
    """MONAI Label gives scans to the preprocessing as they are; none of our checks runs before."""
    scan["image"] = write(tmp_path, nib.load(scan["image"]).get_fdata())
    with pytest.raises(RuntimeError) as refused:
        preprocessed(bundle, configs, section, scan)
    assert refusal in str(plain_message(refused.value))


@pytest.mark.parametrize("bundle", ["spark3d_pretrain", "vit_mae_pretrain", "nnformer_mae_pretrain"])
def test_patches_reach_all_of_a_scan_that_is_little_longer_than_they_are(bundle):
    parser = ConfigParser(ConfigParser.load_config_file(ROOT / "bundles" / bundle / "configs" / "train.json"))
    parser.update({"bundle_root": str(ROOT / "bundles" / bundle), "patch_size": [8, 8, 8]})
    box, middle = parser.get_parsed_content("train#dataset#crop"), CenterSpatialCrop((8, 8, 8))
    numbers = torch.arange(1, 9 * 10 * 8 + 1).view(1, 9, 10, 8)
    seen = torch.cat([middle(box({"image": numbers}, seed)["image"]).flatten() for seed in range(60)]).unique()
    assert torch.equal(seen, numbers.flatten())
