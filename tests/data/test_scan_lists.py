import json

import pytest

from scripts.data import find_scans, pretraining_scans
from scripts.errors import InputError


@pytest.fixture
def dataset(tmp_path, write_nifti):
    """A labelled dataset of two cases in MSD layout, and a third scan that nobody labelled."""
    for case in ("a", "b"):
        for folder in ("imagesTr", "labelsTr"):
            write_nifti(tmp_path / folder / f"{case}.nii.gz")
    write_nifti(tmp_path / "imagesTr" / "c.nii.gz")
    pairs = [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in "ba"]
    content = {"labels": {"0": "background", "1": "x"}, "modality": {"0": "MRI"}, "training": pairs}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    return tmp_path


def test_labels_are_named_only_where_they_are_asked_for(dataset):
    assert pretraining_scans(dataset) == find_scans(dataset) and "label" not in pretraining_scans(dataset)[0]
    cases = pretraining_scans(dataset, label_crops=True)
    assert [case["case"] for case in cases] == ["a", "b"]
    assert cases[0]["label"] == str(dataset / "labelsTr" / "a.nii.gz")


@pytest.mark.parametrize("bare", [True, False])
def test_a_data_list_may_name_labels_too(dataset, bare):
    pairs = json.loads((dataset / "dataset.json").read_text())["training"][:1]
    (dataset / "list.json").write_text(json.dumps(pairs if bare else {"training": pairs}))
    (case,) = pretraining_scans(dataset / "list.json", label_crops=True)
    assert case == {key: str(dataset / f"{key}sTr" / "b.nii.gz") for key in ("image", "label")} | {"case": "b"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "labelsTr" / "b.nii.gz").unlink(), "b.nii.gz is missing: add it or leave it out"),
        (lambda root: (root / "dataset.json").unlink(), "has no dataset.json"),
        (
            lambda root: (root / "dataset.json").write_text('{"labels": {}, "modality": {}}'),
            'lacks a proper "training"',
        ),
    ],
)
def test_scans_without_labels_are_refused(dataset, spoil, message):
    spoil(dataset)
    with pytest.raises(InputError, match=message):
        pretraining_scans(dataset, label_crops=True)


def test_mistakes_are_named(dataset):
    with pytest.raises(InputError, match="one labelled dataset"):
        pretraining_scans([str(dataset)], label_crops=True)
    with pytest.raises(InputError, match="does not exist"):
        pretraining_scans(dataset / "none.json", label_crops=True)
    with pytest.raises(InputError, match="label_crops"):
        pretraining_scans(dataset, label_crops="yes")


def test_suffixes_in_capitals_are_scans_in_a_dataset_too(dataset, write_nifti):
    write_nifti(dataset / "imagesTs" / "d.nii.gz")
    (dataset / "imagesTs" / "d.nii.gz").rename(dataset / "imagesTs" / "D.NII.GZ")
    assert [scan["case"] for scan in pretraining_scans(dataset)] == ["D", "a", "b", "c"]


def test_results_among_the_scans_are_no_scans(tmp_path, write_nifti):
    for name in ("scans/a.nii.gz", "scans/out/a/a_reconstruction.nii.gz"):
        write_nifti(tmp_path / name)
    assert [scan["case"] for scan in pretraining_scans(tmp_path / "scans", results=tmp_path / "scans/out")] == ["a"]


def test_of_a_dataset_both_parts_are_taken(dataset, write_nifti, caplog):
    write_nifti(dataset / "imagesTs" / "d.nii.gz")
    with caplog.at_level("INFO"):
        assert [scan["case"] for scan in pretraining_scans(dataset)] == ["a", "b", "c", "d"]
    assert "2 of its scans are those of labelled cases" in caplog.text
    content = json.loads((dataset / "dataset.json").read_text())
    for pair in content["training"]:  # lie where the list says, as in BTCV
        pair["image"] = pair["image"].replace("imagesTr", "img")
    (dataset / "imagesTr").rename(dataset / "img")
    (dataset / "dataset.json").write_text(json.dumps(content))
    assert [scan["case"] for scan in pretraining_scans(dataset)] == ["a", "b", "d"]


def test_channel_files_side_by_side_are_one_scan(tmp_path, write_nifti):
    for name in ("a_0000", "a_0001", "b_0000", "b_0001"):
        write_nifti(tmp_path / f"{name}.nii.gz")
    scans = pretraining_scans(tmp_path, num_channels=2)
    assert [(scan["case"], len(scan["image"])) for scan in scans] == [("a", 2), ("b", 2)]
    assert len(pretraining_scans(tmp_path)) == 4


def test_channels_of_a_dataset_stay_together(tmp_path, write_nifti):
    for part, case in (("imagesTr", "a"), ("labelsTr", "a"), ("imagesTs", "b")):
        for channel in ("",) if part == "labelsTr" else ("_0000", "_0001"):
            write_nifti(tmp_path / part / f"{case}{channel}.nii.gz")
    content = {"labels": {"background": 0, "x": 1}, "channel_names": {"0": "T1", "1": "T2"}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    scans = pretraining_scans(tmp_path)
    assert [scan["case"] for scan in scans] == ["a", "b"] and all(len(scan["image"]) == 2 for scan in scans)
