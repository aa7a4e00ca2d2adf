"""Every format must come to the same array on the same affine, and every failure to one line."""

import json
import os
from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import EnsureChannelFirstd

from scripts.data.reading import read_scan, scan_files, stamp
from scripts.errors import InputError

BUNDLES = Path(__file__).parents[2] / "bundles"
AFFINE = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 3.0, 30], [0, 0, 0, 1]])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"])
def test_formats_agree(tmp_path, volume, write_nifti, suffix):
    original = write_nifti(tmp_path / "original.nii", volume(), affine=AFFINE)
    itk.imwrite(itk.imread(original), str(tmp_path / f"scan{suffix}"))
    scan = read_scan(str(tmp_path / f"scan{suffix}"))
    assert scan.dtype == torch.float32
    assert np.array_equal(scan.numpy(), volume()[None])
    assert np.allclose(scan.affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize("name", ["{:03d}.dcm", "{:03d}.IMA", "IM{}", "1.2.840.{}"])
def test_dicom_series(tmp_path, volume, write_dicom, name):
    scan = read_scan(write_dicom(tmp_path / "series", volume(), name))
    assert np.array_equal(scan.numpy()[0], volume().transpose(2, 1, 0))  # x, y, z from slices of rows
    assert np.allclose(scan.affine, np.diag([-1, -1, 2, 1]))  # DICOM's left and posterior are NIfTI's minus


def test_channel_files_are_stacked_in_order(tmp_path, volume, write_nifti):
    files = [write_nifti(tmp_path / f"c_{c}.nii.gz", volume(seed=c)) for c in range(3)]
    assert np.array_equal(read_scan(files[::-1]).numpy(), np.stack([volume(seed=c) for c in (2, 1, 0)]))


def test_4d_nifti_has_its_last_axis_as_channels(tmp_path, volume, write_nifti):
    assert read_scan(write_nifti(tmp_path / "scan.nii.gz", volume(6, 5, 4, 3))).shape == (3, 6, 5, 4)


def test_real_scan_equals_nibabel(real_data):
    path = sorted((real_data / "brain_t1").glob("ds000011*.nii.gz"))[0]
    scan, reference = read_scan(str(path)), nib.load(path)
    assert np.array_equal(scan.numpy()[0], reference.get_fdata(dtype=np.float32))
    assert np.allclose(scan.affine, reference.affine)


def _truncated(path, write_nifti, volume):
    write_nifti(path, volume(40, 40, 40))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return str(path)


def _text(path, *_):
    path.write_text("no image at all")
    return str(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("spoil", [_truncated, _text, lambda path, *_: str(path)])
def test_unreadable_files_are_one_line(tmp_path, volume, write_nifti, suffix, spoil):
    path = tmp_path / f"scan{suffix}"
    if spoil is _truncated and suffix in (".nrrd", ".mha"):
        itk.imwrite(itk.image_from_array(volume(40, 40, 40)), str(path))
        os.truncate(path, path.stat().st_size // 2)
    else:
        spoil(path, write_nifti, volume)
    with pytest.raises(InputError, match=f"scan{suffix} cannot be read") as error:
        read_scan(str(path))
    assert "\n" not in str(error.value)


def test_two_series_in_one_folder(tmp_path, write_dicom):
    write_dicom(tmp_path / "mixed", name="a{}.dcm")
    write_dicom(tmp_path / "mixed", name="b{}.dcm")
    with pytest.raises(InputError, match="mixed holds 2 DICOM series"):
        read_scan(str(tmp_path / "mixed"))


def _pair(folder, volume, shift=0.0):
    """Two channel files on one oblique grid, as a matrix in one and a rotation in the other, which may be shifted."""
    a, b = np.deg2rad(20), np.deg2rad(-12)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.9, -1.1, 1.4])
    affine[:3, 3] = (-91.3, 117.7, 43.1)
    files = [str(folder / name) for name in ("a_0000.nii.gz", "a_0001.nii.gz")]
    nib.save(nib.Nifti1Image(volume(seed=0), affine), files[0])
    affine[0, 3] += shift
    rotation = nib.Nifti1Image(volume(seed=1), affine)
    rotation.set_sform(None, code=0)
    rotation.set_qform(affine, code=1)
    nib.save(rotation, files[1])
    return files


def test_channels_on_one_grid_of_two_headers(tmp_path, volume):
    files = _pair(tmp_path, volume)
    affines = [nib.load(file).affine for file in files]
    assert not np.allclose(*affines)  # by which MONAI judges
    expected = read_scan(files)
    assert np.array_equal(expected.numpy(), np.stack([volume(seed=0), volume(seed=1)]))
    assert np.allclose(expected.affine, affines[0])
    inference = ConfigParser(json.loads((BUNDLES / "isles22_segmentation/configs/inference.json").read_text()))
    load, first = inference.get_parsed_content("preprocessing").transforms[:2]
    loaded = first(load({"image": files}))["image"]
    assert torch.equal(loaded.as_tensor(), expected.as_tensor()) and torch.equal(loaded.affine, expected.affine)


@pytest.mark.parametrize("names", [("a.nii.gz", "b.nrrd"), ("b.nrrd", "a.nii.gz")])
def test_channels_of_two_formats(tmp_path, volume, write_nifti, names):
    file = write_nifti(tmp_path / "a.nii.gz", affine=AFFINE)
    itk.imwrite(itk.imread(file), str(tmp_path / "b.nrrd"))
    scan = read_scan([str(tmp_path / name) for name in names])
    assert np.array_equal(scan.numpy(), np.stack([volume()] * 2)) and np.allclose(scan.affine, AFFINE, atol=1e-5)


def test_4d_channel_files_are_joined(tmp_path, volume, write_nifti):
    files = [write_nifti(tmp_path / f"{n}.nii.gz", volume(6, 5, 4, n)) for n in (2, 3)]
    assert read_scan(files).shape == (5, 6, 5, 4)


def test_channels_on_different_grids(tmp_path, volume, write_nifti):
    first, second = _pair(tmp_path, volume, shift=0.45)
    with pytest.raises(InputError, match=f"{second} lies 0.45 mm beside {first}: give both the same affine"):
        read_scan([first, second])
    larger = write_nifti(tmp_path / "larger.nii.gz", volume(7, 5, 4))
    with pytest.raises(InputError, match=r"larger.nii.gz has \(7, 5, 4\) voxels, .*a_0000.nii.gz \(6, 5, 4\)"):
        read_scan([first, larger])


def test_files_of_a_scan(tmp_path, volume, write_dicom):
    series = write_dicom(tmp_path / "series")
    (tmp_path / "series" / "notes.txt").write_text("not a slice")
    (tmp_path / "series" / "._000.dcm").write_text("not a slice")
    assert [Path(file).name for file in scan_files(series)] == [f"{index:03d}.dcm" for index in range(6)]
    for header, data in (("a.nhdr", "a.raw.gz"), ("b.mhd", "b.raw")):
        itk.imwrite(itk.image_from_array(volume()), str(tmp_path / header), compression=header == "a.nhdr")
        assert scan_files(str(tmp_path / header)) == [str(tmp_path / header), str(tmp_path / data)]
    (tmp_path / "d.mhd").write_text("NDims = 3\nElementDataFile = LOCAL\n")
    assert scan_files(str(tmp_path / "d.mhd")) == [str(tmp_path / "d.mhd")]
    (tmp_path / "c.nhdr").write_text("NRRD0004\ndata file: LIST\nc1.raw\nc2.raw\n")
    assert [Path(file).name for file in scan_files(str(tmp_path / "c.nhdr"))] == ["c.nhdr", "c1.raw", "c2.raw"]
    (tmp_path / "c.nhdr").rename(tmp_path / "C.NHDR")
    assert len(scan_files(str(tmp_path / "C.NHDR"))) == 3


@pytest.fixture(params=["scan.mhd", "scan.nhdr"])
def numbered_slices(tmp_path, volume, request):
    """A scan whose header tells the slices' files by a pattern."""
    for number, pixels in enumerate(volume(6, 5, 4)):
        (tmp_path / f"s{number:03d}.raw").write_bytes(pixels.astype("<i2").tobytes())
    if request.param == "scan.mhd":
        lines = ["NDims = 3", "DimSize = 4 5 6", "ElementType = MET_SHORT", "ElementDataFile = s%03d.raw 0 5 1"]
    else:
        lines = ["NRRD0004", "type: short", "dimension: 3", "sizes: 4 5 6", "endian: little", "encoding: raw"]
        lines += ["data file: s%03d.raw 0 5 1"]
    (tmp_path / request.param).write_text("\n".join([*lines, ""]))
    return tmp_path / request.param


def test_slices_numbered_by_a_pattern_are_files_of_the_scan(numbered_slices, volume):
    assert np.array_equal(read_scan(str(numbered_slices)).numpy()[0], volume(6, 5, 4).transpose(2, 1, 0))
    names = [f"s{number:03d}.raw" for number in range(6)]
    assert [Path(file).name for file in scan_files(str(numbered_slices))] == [numbered_slices.name, *names]
    before = stamp([str(numbered_slices)])
    (numbered_slices.parent / "s003.raw").write_bytes(bytes(40))
    assert stamp([str(numbered_slices)]) not in (before, "missing")


def test_stamp_changes_with_any_file(tmp_path, write_nifti, write_dicom):
    scans = [write_nifti(tmp_path / "scan.nii.gz"), write_dicom(tmp_path / "series")]
    stamps = [stamp(scans)]
    for file in (tmp_path / "scan.nii.gz", tmp_path / "series" / "003.dcm"):
        os.utime(file, ns=(1, 1))
        stamps.append(stamp(scans))
    (tmp_path / "series" / "003.dcm").unlink()
    stamps.append(stamp(scans))
    assert len(set(stamps)) == 4
    assert stamp(scans) == stamps[-1]
    assert stamp([str(tmp_path / "none.nii")]) == "missing"


def test_stamp_changes_when_files_change_places(tmp_path, volume, write_nifti):
    """Swapped channels have the size and the times that they had before."""
    files = [Path(write_nifti(tmp_path / f"a_000{number}.nii", volume(seed=number))) for number in (0, 1)]
    for time, file in enumerate(files):
        os.utime(file, ns=(time, time))
    before = stamp([str(file) for file in files])
    files[0].rename(tmp_path / "b")
    files[1].rename(files[0])
    (tmp_path / "b").rename(files[1])
    assert stamp([str(file) for file in files]) != before
    assert before.split("-")[0] == str(sum(file.stat().st_size for file in files))


@pytest.mark.parametrize("kind", ["nifti", "capitals", "dicom", "nrrd", "metaimage in capitals"])
def test_the_bundles_read_what_was_checked(tmp_path, write_nifti, write_dicom, kind):
    """The configs' reader gives the tensor and affine of `read_scan`."""
    if kind == "dicom":
        write_dicom(tmp_path / "scan")
        path = str(tmp_path / "scan")
    elif kind == "capitals":
        sheared = AFFINE.copy()
        sheared[1, 1] = 0.01  # which ITK refuses
        path = str(Path(write_nifti(tmp_path / "scan.nii.gz", affine=sheared)).rename(tmp_path / "SCAN.NII.GZ"))
    else:
        path = write_nifti(tmp_path / "scan.nii.gz", affine=AFFINE)
        if kind == "nrrd":
            itk.imwrite(itk.imread(path), str(tmp_path / "scan.nrrd"))
            path = str(tmp_path / "scan.nrrd")
        if kind == "metaimage in capitals":
            itk.imwrite(itk.imread(path), str(tmp_path / "scan.mha"))
            path = str((tmp_path / "scan.mha").rename(tmp_path / "SCAN.MHA"))
    train = json.loads((BUNDLES / "spark3d_pretrain/configs/train.json").read_text())
    load = ConfigParser(train["train"]["preprocessing"]["transforms"][0]).get_parsed_content()
    loaded = EnsureChannelFirstd("image")(load({"image": path}))["image"]
    expected = read_scan(path)
    assert torch.equal(loaded.as_tensor(), expected.as_tensor())
    assert np.allclose(loaded.affine, expected.affine)
