"""A DICOM scan must be read as the volume it is, from slices or frames in any order, or be refused with a reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2KLossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless, generate_uid

from scripts.data.reading import read_scan
from scripts.errors import InputError
from tests.dicom_series import write_enhanced, write_report, write_series

SIZE = (12, 10, 8)
SCATTERED = (3, 1, 0, 2, 7, 6, 4, 5)


def oblique() -> np.ndarray:
    """A RAS affine whose slices lie one below the other, none of its axes along the patient's."""
    a, b = np.deg2rad(25), np.deg2rad(-15)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return nib.affines.from_matvec(turn @ np.diag([-0.9, -1.1, -1.4]), (31, -17, 12))


def tilted() -> np.ndarray:
    affine = oblique()
    affine[:3, 2] += 0.4 * affine[:3, 1]
    return affine


def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(-20, 900, SIZE).astype(np.int16)


def check(path: str | Path, written: np.ndarray | None = None) -> None:
    """Compare with what was written, whatever the order of axes."""
    scan = read_scan(str(path))
    written = volume() if written is None else written
    images = [(scan.numpy()[0], scan.affine.numpy()), (written.astype(np.float32), oblique())]
    one, other = (nib.as_closest_canonical(nib.Nifti1Image(*image)) for image in images)
    assert np.allclose(one.affine, other.affine, atol=1e-3)
    assert np.array_equal(one.get_fdata(), other.get_fdata())


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("order", [range(8), range(8)[::-1], SCATTERED])
def test_frames_in_any_order(tmp_path: Path, modality: str, order: range) -> None:
    check(write_enhanced(tmp_path / "scan" / "a", volume(), oblique(), modality, order))
    check(tmp_path / "scan")  # a folder with nothing else in it


@pytest.mark.parametrize("suffix", ["", ".dcm", ".IMA"])
def test_slices_in_files_of_any_name(tmp_path: Path, suffix: str) -> None:
    check(write_series(tmp_path / "scan", volume(), oblique(), suffix))


def test_each_frame_has_its_own_slope(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "scan.dcm", volume(), oblique(), "MR")
    one = pydicom.dcmread(path)
    del one.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    for index, frame in enumerate(one.PerFrameFunctionalGroupsSequence, start=1):
        values = pydicom.Dataset()
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = index, 5, "US"
        frame.PixelValueTransformationSequence = [values]
    one.save_as(path)
    check(path, (volume() + 1000) * np.arange(1, 9) + 5)


def test_what_is_no_part_of_the_series_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    write_series(folder, volume(), oblique())
    shutil.copy(next(folder.iterdir()), folder / "copy.dcm")
    write_report(folder / "report.dcm")
    write_enhanced(folder / "frames.dcm", volume(), tilted())
    sideways = oblique()[:, [1, 2, 0, 3]]
    write_series(folder, volume()[:, :, :1], sideways, SeriesNumber=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    check(folder)


@pytest.mark.parametrize("uid", ["1.2.3", None])
def test_slices_that_an_anonymiser_gave_one_identity(tmp_path: Path, uid: str | None) -> None:
    folder = write_series(tmp_path / "ct", volume(), oblique())
    for file in Path(folder).iterdir():
        image = pydicom.dcmread(file)
        del image.SOPInstanceUID
        if uid is not None:
            image.SOPInstanceUID = uid
        image.save_as(file)
    shutil.copy(next(Path(folder).iterdir()), Path(folder) / "copy.dcm")
    check(folder)


def one_of(folder: str) -> Path:
    return sorted(Path(folder).iterdir())[3]


def two_series(folder: Path) -> None:
    write_series(folder, volume(), oblique(), SeriesNumber=3)
    write_series(folder, volume()[:, :, :5], oblique(), SeriesNumber=5)


def localizer(folder: Path, **header: object) -> None:
    same = {"SeriesInstanceUID": generate_uid()}
    write_series(folder, volume(), oblique(), **same)
    write_series(folder, volume()[:, :, :1], oblique()[:, [1, 2, 0, 3]], "_.dcm", **same, **header)


def missing(folder: Path) -> None:
    one_of(write_series(folder, volume(), oblique())).unlink()


def twice(folder: Path) -> None:
    first = one_of(write_series(folder, volume(), oblique()))
    echo = pydicom.dcmread(first)
    echo.SOPInstanceUID = echo.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    echo.save_as(folder / "echo.dcm")


def unplaced(folder: Path) -> None:
    write_series(folder, volume(), oblique())
    for file in folder.iterdir():
        one = pydicom.dcmread(file)
        del one.ImagePositionPatient
        one.save_as(file)


def broken(folder: Path) -> None:
    one_of(write_series(folder, volume(), oblique())).write_text("nothing of the kind")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (two_series, r"holds 2 DICOM series .*\(number 3, CT, 8 images; number 5, CT, 5 images\): give each series"),
        (localizer, "1 of 9 slices in .* other directions .*: remove"),
        (lambda folder: localizer(folder, Columns=6, Rows=20), "slices of 12 x 10 and 6 x 20 pixels: remove"),
        (missing, r"lie 1.40 to 2.80 mm apart: add missing"),
        (lambda folder: write_series(folder, volume(), tilted()), r"sideways by 3.1 mm .*gantry tilt.*: correct"),
        (twice, r"several slices at one place .*: give each volume"),
        (unplaced, "does not say where its slices lie: convert"),
        (broken, "021.dcm is no DICOM image, or damaged: replace"),
        (lambda folder: write_report(folder / "a.dcm"), "holds no DICOM images, only reports"),
        (lambda folder: write_enhanced(folder / "a", volume(), oblique(), "CT", (0, 1, 2, 4, 5)), "1.40 to 2.80 mm"),
        (lambda folder: write_enhanced(folder / "a", volume(), oblique(), "MR", (0, 1, 1, 2)), "slices at one place"),
        (lambda folder: write_enhanced(folder / "a", volume(), tilted()), "gantry tilt"),
    ],
)
def test_what_is_no_regular_volume_is_refused(tmp_path: Path, write, message: str) -> None:
    write(tmp_path / "scan")
    with pytest.raises(InputError, match=message) as error:
        read_scan(str(tmp_path / "scan"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_slices_and_frames(tmp_path: Path, syntax: str) -> None:
    files = [*Path(write_series(tmp_path / "slices", volume(), oblique())).iterdir()]
    for file in (*files, write_enhanced(tmp_path / "frames" / "a", volume(), oblique())):
        one = pydicom.dcmread(file)
        one.compress(syntax)
        one.save_as(file)
    check(tmp_path / "slices")
    check(tmp_path / "frames")


def test_jpeg_2000(tmp_path: Path) -> None:
    for name in ("MR_small", "MR_small_jp2klossless"):
        (tmp_path / name).mkdir()
        shutil.copy(get_testdata_file(f"{name}.dcm", download=False), tmp_path / name)
    plain, compressed = (read_scan(str(tmp_path / name)).numpy() for name in ("MR_small", "MR_small_jp2klossless"))
    assert np.array_equal(plain, compressed)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, JPEGLosslessSV1])
def test_what_cannot_be_decoded_is_told(tmp_path: Path, syntax: str) -> None:
    files = [*Path(write_series(tmp_path / "slices", volume(), oblique())).iterdir()]
    frames = write_enhanced(tmp_path / "frames" / "a", volume(), oblique())
    for file in (*files, frames):
        one = pydicom.dcmread(file)
        one.PixelData = encapsulate([b"no such code"] * int(one.get("NumberOfFrames", 1)))
        one["PixelData"].is_undefined_length = True
        one.file_meta.TransferSyntaxUID = syntax
        one.save_as(file)
    told = rf"is compressed \({syntax.name[:8]}.*cannot be decoded here: .*store it uncompressed"
    with pytest.raises(InputError, match=told):
        read_scan(str(tmp_path / "slices"))
    with pytest.raises(InputError, match=told) as error:
        read_scan(frames)
    assert "install pylibjpeg" in str(error.value)
