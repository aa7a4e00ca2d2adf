"""From a DICOM series to a DICOM segmentation and volumes, beside cases that fail."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import highdicom
import itk
import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from pydicom.sr.codedict import codes as dictionary

from scripts.dicom_seg import CATEGORY, save_dicom_seg
from scripts.errors import InputError
from scripts.networks import ResEncUNet
from tests.dicom_series import write_enhanced, write_report, write_series
from tests.warm_runs import run_warm
from tools.project import ROOT, bundle_names
from tools.render.card import read_card

BUNDLE = ROOT / "bundles" / "hippocampus_segmentation"
SEGMENTING = ("segmentation", "evaluation")  # templates
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def oblique() -> np.ndarray:
    """A RAS affine: turned about two axes, 0.9 x 1.1 x 1.4 mm, and each slice below the one before."""
    a, b = np.deg2rad(20), np.deg2rad(-12)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.9, -1.1, -1.4])
    affine[:3, 3] = (31, -17, 12)
    return affine


def scan(size: tuple[int, ...] = (27, 24, 18)) -> np.ndarray:
    volume = np.random.default_rng(0).integers(-20, 20, size)
    volume[6:20, 6:18, 4:14] += 100
    volume[8:13, 8:13, 6:12] += 100
    return volume.astype(np.int16)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory):
    """One run over a series, its twins in one DICOM file, NIfTI and NRRD, and four scans that cannot be segmented."""
    folder = tmp_path_factory.mktemp("clinical")
    series = write_series(folder / "in" / "series", scan(), oblique())
    scattered = np.random.default_rng(1).permutation(18)
    write_enhanced(folder / "in" / "frames" / "frames.dcm", scan(), oblique(), "MR", scattered)
    write_report(folder / "in" / "frames" / "report.dcm")
    nib.save(nib.Nifti1Image(scan(), oblique()), folder / "in" / "nifti.nii.gz")
    itk.imwrite(itk.imread(str(folder / "in" / "nifti.nii.gz")), str(folder / "in" / "nrrd.nrrd"))
    nib.save(nib.Nifti1Image(np.full((20, 20, 20), np.nan), oblique()), folder / "in" / "nan.nii.gz")
    nib.save(nib.Nifti1Image(scan(), np.diag([0.001, 0.001, 0.001, 1])), folder / "in" / "metres.nii.gz")
    (folder / "in" / "broken.nii.gz").write_text("no scan")
    write_series(folder / "in" / "gap", scan(), oblique())
    (folder / "in" / "gap" / "4-021.dcm").unlink()
    torch.manual_seed(9)
    network = ResEncUNet(1, 3, features=(4, 8), num_blocks=(1, 1), strides=(1, 2))
    torch.save({"model": network.state_dict()}, folder / "model.pt")
    knobs = {"bundle_root": BUNDLE, "dataset_dir": folder / "in", "output_dir": folder / "out"}
    knobs |= {"checkpoint": folder / "model.pt", "output_format": "dicomseg"}
    files = [str(BUNDLE / "configs" / f"{name}.json") for name in ("inference", "tiny")]
    arguments = [text for key, value in knobs.items() for text in (f"--{key}", str(value))]
    (folder / "cwd").mkdir()
    finished = run_warm(["monai.bundle", "run", "--config_file", str(files), *arguments], folder / "cwd")
    return finished, series, folder / "out"


def on_grid(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels and affine in the order of the closest axes of RAS, so that scans of any axis order compare."""
    image = nib.as_closest_canonical(nib.load(path))
    return np.asarray(image.dataobj), image.affine


def test_every_form_of_a_scan_gives_the_same_segmentation(done) -> None:
    _, _, out = done
    labels, affine = on_grid(out / "series_seg.nii.gz")
    assert {0, 1, 2} == set(np.unique(labels)) and labels.shape == (27, 24, 18)
    for twin in ("frames", "nifti", "nrrd"):
        others, other_affine = on_grid(out / f"{twin}_seg.nii.gz")
        assert np.allclose(affine, other_affine, atol=1e-4) and np.array_equal(labels, others)
    assert np.allclose(nib.load(out / "nifti_seg.nii.gz").affine, oblique(), atol=1e-5)


def test_failed_cases_are_named_and_the_others_done(done) -> None:
    finished, _, out = done
    assert finished.returncode == 1 and "Traceback" not in finished.output
    line = next(line for line in finished.output.splitlines() if line.startswith("error: "))
    assert "6 of 8 cases failed, the others are done" in line and "case broken: " in line
    assert "gap lie 1.40 to 2.80 mm apart: add missing ones" in finished.output
    assert "case nan failed: 8000 voxels of the image are NaN" in finished.output
    assert "case metres failed: the header of the image has voxels of 0.001 x 0.001 x 0.001 mm" in finished.output
    # these two are segmented, but have no series to refer to
    assert "nifti.nii.gz is no DICOM series, which a DICOM-SEG refers to: take the NIfTI" in finished.output
    for noise in ("unable to load", "nvImageCodec"):
        assert noise not in finished.output
    written = {path.name for path in out.iterdir()}
    masks = {f"{name}_seg.nii.gz" for name in ("series", "frames", "nifti", "nrrd")}
    assert written == masks | {"series_seg.dcm", "frames_seg.dcm", "volumes.csv"}


def test_volumes_are_those_of_the_masks(done) -> None:
    _, _, out = done
    rows = list(csv.DictReader((out / "volumes.csv").open()))
    assert [row["structure"] for row in rows if row["case"] == "series"] == ["anterior", "posterior"]
    assert [row["case"] for row in rows] == sorted(row["case"] for row in rows) and len(rows) == 2 * 4
    for row in rows:
        image = nib.load(out / f"{row['case']}_seg.nii.gz")
        voxels = np.sum(np.asarray(image.dataobj) == ["background", "anterior", "posterior"].index(row["structure"]))
        assert float(row["volume_ml"]) == pytest.approx(voxels * 0.9 * 1.1 * 1.4 / 1000, abs=1e-4) and voxels > 0


def test_results_say_nothing_of_the_patient(done) -> None:
    _, series, out = done
    source = pydicom.dcmread(next(Path(series).iterdir()), stop_before_pixels=True)
    for file in (*out.glob("*.nii.gz"), out / "volumes.csv"):
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        for secret in ("Doe", source.PatientID, source.StudyInstanceUID, source.SeriesInstanceUID, "20260101"):
            assert secret.encode() not in content, (file, secret)


@pytest.mark.parametrize("case", ["series", "frames"])
def test_the_dicom_segmentation_lies_where_the_mask_does(done, case: str) -> None:
    _, _, out = done
    segmentation = highdicom.seg.segread(out / f"{case}_seg.dcm")
    volume = segmentation.get_volume(combine_segments=True)
    nifti = nib.load(out / f"{case}_seg.nii.gz")
    voxels = np.argwhere(volume.array > 0)
    assert len(voxels) == np.count_nonzero(np.asarray(nifti.dataobj))
    places = (TO_RAS @ volume.affine @ np.c_[voxels, np.ones(len(voxels))].T)[:3]
    indices = (np.linalg.inv(nifti.affine) @ np.r_[places, np.ones((1, len(voxels)))])[:3].T
    assert np.abs(indices - indices.round()).max() < 1e-2
    assert np.array_equal(
        np.asarray(nifti.dataobj)[tuple(indices.round().astype(int).T)], volume.array[tuple(voxels.T)]
    )


def test_the_dicom_segmentation_names_its_source_and_its_segments(done) -> None:
    _, series, out = done
    segmentation = highdicom.seg.segread(out / "series_seg.dcm")
    slices = [pydicom.dcmread(file, stop_before_pixels=True) for file in Path(series).iterdir()]
    assert {uids[2] for uids in segmentation.get_source_image_uids()} == {one.SOPInstanceUID for one in slices}
    assert segmentation.StudyInstanceUID == slices[0].StudyInstanceUID and segmentation.PatientID == "P-4711"
    assert segmentation.FrameOfReferenceUID == slices[0].FrameOfReferenceUID
    anterior = segmentation.get_segment_description(1)
    assert anterior.segment_label == "anterior" and anterior.segmented_property_type == dictionary.SCT.Hippocampus
    modifier = anterior.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert modifier.CodeMeaning == "Anterior"


def test_the_dicom_segmentation_names_the_frames_of_its_source(done) -> None:
    _, series, out = done
    source = pydicom.dcmread(Path(series).parent / "frames" / "frames.dcm", stop_before_pixels=True)
    frames = source.PerFrameFunctionalGroupsSequence
    segmentation = pydicom.dcmread(out / "frames_seg.dcm")
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        named = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert named.ReferencedSOPInstanceUID == source.SOPInstanceUID
        places = [one.PlanePositionSequence[0] for one in (frame, frames[named.ReferencedFrameNumber - 1])]
        assert np.allclose(*(np.array(place.ImagePositionPatient, float) for place in places), atol=1e-3)
    assert segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID


def test_structures_without_codes_are_tissue(tmp_path: Path) -> None:
    series = write_series(tmp_path / "series", scan(), oblique())
    save_dicom_seg(
        np.where(scan() > 50, 7, 0), oblique(), series, tmp_path / "a.dcm", {"lump": 7}, {}, ("Some bundle", "1.0.0")
    )
    segmentation = highdicom.seg.segread(tmp_path / "a.dcm")
    lump = segmentation.get_segment_description(1)
    assert lump.segment_label == "lump" and lump.segmented_property_type == dictionary.SCT.Tissue
    assert segmentation.get_volume(combine_segments=True).array.sum() == (scan() > 50).sum()
    for file in Path(series).iterdir():
        one = pydicom.dcmread(file)
        del one.FrameOfReferenceUID
        one.save_as(file)
    with pytest.raises(InputError, match="gives no DICOM-SEG .*Frame Of Reference UID"):
        save_dicom_seg(scan(), oblique(), series, tmp_path / "b.dcm", {"lump": 7}, {}, ("Some bundle", "1.0.0"))


def test_all_that_a_code_says_is_written(tmp_path: Path) -> None:
    series = write_series(tmp_path / "series", scan(), oblique())
    codes = {
        "front": {"type": ["79652003", "Eyeball"], "modifier": ["255549009", "Anterior"], "side": ["7771000", "Left"]},
        "lesion": {
            "category": ["49755003", "Morphologically Abnormal Structure"],
            "type": ["C113842", "Enhancing Lesion", "NCIt"],
            "region": ["12738006", "Brain"],
        },
    }
    structures = {"front": 1, "lesion": 2}
    save_dicom_seg(np.where(scan() > 50, 2, 0), oblique(), series, tmp_path / "a.dcm", structures, codes, ("A", "1"))
    front, lesion = (highdicom.seg.segread(tmp_path / "a.dcm").get_segment_description(number) for number in (1, 2))
    modifiers = front.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence
    assert [one.CodeMeaning for one in modifiers] == ["Anterior", "Left"]
    assert front.segmented_property_category == dictionary.SCT.AnatomicalStructure and not front.anatomic_regions
    assert lesion.segmented_property_category == dictionary.SCT.MorphologicallyAbnormalStructure
    assert lesion.segmented_property_type == dictionary.NCIt.EnhancingLesion
    assert lesion.anatomic_regions == [dictionary.SCT.Brain]


def test_all_labels_of_the_cards_have_codes_of_dicom() -> None:
    known = set()
    for scheme in ("SCT", "NCIt"):
        concepts = getattr(dictionary, scheme)
        known |= {(code.value, code.meaning, scheme) for code in map(concepts.__getattr__, concepts.dir())}
    categories = {code.value for code in map(dictionary.cid7150.__getattr__, dictionary.cid7150.dir())}
    cards = [card for card in (read_card(name, ROOT) for name in bundle_names(ROOT)) if card["template"] in SEGMENTING]
    assert len(cards) > 15
    for card in cards:
        segmented = card.get("model", card["dataset"])
        assert set(segmented["codes"]) == set(segmented["labels"]) - {"background"}, card["name"]
        for label, code in segmented["codes"].items():
            assert {"type"} <= set(code) <= {"category", "type", "modifier", "side", "region"}
            assert code.get("category", CATEGORY)[0] in categories
            stated = {(*value, "SCT")[:3] for value in code.values()}
            assert stated <= known, (card["name"], label, stated - known)
        told = [json.dumps(code, sort_keys=True) for code in segmented["codes"].values()]
        assert len(set(told)) == len(told), f"two labels of {card['name']} are coded alike"
