"""A header that cannot be meant is told in one line, a scan that is only odd passes."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.data import CaseDataset, find_scans
from scripts.data.scan_checks import header_problems, scan_problems


def _scan(size, spacing):
    return MetaTensor(torch.empty(1).expand(1, *size), affine=np.diag([*spacing, 1.0]))


@pytest.mark.parametrize(
    ("size", "spacing", "target"),
    [
        ((512, 512, 1), (0.5, 0.5, 5), (1, 1, 1)),
        ((320, 256, 5), (0.7, 0.7, 10), (0.35, 0.35, 0.35)),
        ((512, 512, 1000), (0.98, 0.98, 1), (1, 1, 1)),
        ((512, 512, 700), (0.98, 0.98, 3), (1, 1, 1)),
        ((240, 240, 24), (1, 1, 5), (1, 1, 1)),
        ((1024, 1024, 2000), (0.35, 0.35, 0.35), (1, 1, 1)),
        ((36, 50, 34), (1, 1, 1), (1, 1, 1)),
        ((150, 200, 150), (0.1, 0.1, 0.1), (0.1, 0.1, 0.1)),
    ],
)
def test_odd_scans_pass(size, spacing, target):
    assert not list(header_problems(_scan(size, spacing), target))


@pytest.mark.parametrize("step", [0.0, np.nan])
def test_an_affine_without_a_volume(step):
    (problem,) = header_problems(_scan((6, 5, 4), (1, 1, step)), (1, 1, 1))
    assert "is singular or not finite: correct the header" in problem


def test_scans_whose_header_cannot_be_meant_fail_alone(tmp_path, write_nifti, volume):
    """As one in metres would become a mask of a single voxel, and one of 1.3 m would take the memory of all."""
    paths = {name: tmp_path / f"{name}.nii" for name in ("good", "metres", "huge", "nan")}
    for name, path in paths.items():
        write_nifti(path, spacing={"metres": (0.001,) * 3, "huge": (250,) * 3}.get(name, (1, 1, 1)))
    with open(paths["metres"], "r+b") as file:
        file.seek(123)  # xyzt_units
        file.write(b"\1")
    with open(paths["nan"], "r+b") as file:
        file.seek(280)  # srow_x
        file.write(np.float32(np.nan).tobytes())
    scans = [{"case": name, "image": str(path)} for name, path in paths.items()]
    good, *failed = CaseDataset(scans, lambda item: item, num_channels=1, spacing=(1, 1, 1))
    assert good["source"] == str(paths["good"])
    metres, huge, nan = (item["failure"] for item in failed)
    assert metres == (
        "the header of the image has voxels of 0.001 x 0.001 x 0.001 mm (metre in its xyzt_units), which makes 1.2e-07 "
        "of the network's 1 x 1 x 1 mm, 0.006 along the longest side: correct the header, or crop the image"
    )
    assert "voxels of 250 x 250 x 250 mm, which makes 1.9e+09 of" in huge
    assert nan == f"{paths['nan']} has numbers in its affine that are NaN or infinite: correct the header"


def test_what_lacks_channels_is_told_how_to_give_them(tmp_path, write_nifti, volume):
    write_nifti(tmp_path / "BraTS-1-t1n.nii.gz")
    (scan,) = find_scans(tmp_path, num_channels=4)
    assert list(scan_problems(scan, 4, (1, 1, 1))) == [
        "the image has 1 channels of 6 x 5 x 4 voxels where 4 of a 3D scan are expected: give all channels of a case "
        "as files <case>_0000 to <case>_0003 side by side, as a 4D NIfTI file, or as a list of files in a JSON data "
        "list"
    ]
    numbered = write_nifti(tmp_path / "patient_0002.nii.gz", volume(6, 5, 4, 3))
    assert "give all channels of a case as" in next(scan_problems({"image": numbered}, 4, (1, 1, 1)))
    assert not list(scan_problems({"image": numbered}, 3, (1, 1, 1)))


def test_an_incomplete_set_of_channels_names_what_is_missing(tmp_path, write_nifti):
    for channel in (0, 1, 2):
        write_nifti(tmp_path / f"a_000{channel}.nii.gz")
    scans = find_scans(tmp_path, num_channels=4)
    assert [scan["case"] for scan in scans] == ["a_0000", "a_0001", "a_0002"]
    for scan in scans:
        (problem,) = scan_problems(scan, 4, (1, 1, 1))
        assert problem.endswith(f"where 4 of a 3D scan are expected: add {tmp_path}/a_0003.nii.gz")
