"""What a user points at must become the scans meant, named uniquely, in one order, or one clear line."""

import json
import os

import numpy as np
import pytest

from scripts.data.scans import find_scans
from scripts.errors import InputError
from tests.dicom_series import write_enhanced, write_report


def _touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def _cases(source):
    return [scan["case"] for scan in find_scans(source)]


def test_folder_is_searched_recursively(tmp_path):
    _touch(tmp_path, "b.nii.gz", "x/a.nii", "x/y/c.nrrd", "d.mha", "e.nhdr", "f.mhd", "notes.txt", "g.json")
    _touch(tmp_path, "._b.nii.gz", ".hidden.nii", ".cache/h.nii.gz", "__MACOSX/x/._a.nii")
    assert find_scans(str(tmp_path))[0] == {"case": "a", "image": str(tmp_path / "x" / "a.nii")}
    assert _cases(tmp_path) == ["a", "b", "c", "d", "e", "f"]


def test_labels_of_nested_datasets_are_no_scans(tmp_path):
    _touch(tmp_path, "Task01/imagesTr/a.nii.gz", "Task01/labelsTr/a.nii.gz", "Task02/labelsTs/b.nii.gz")
    assert [scan["image"] for scan in find_scans(tmp_path)] == [str(tmp_path / "Task01" / "imagesTr" / "a.nii.gz")]


def test_folders_named_as_labels_hold_no_scans(tmp_path):
    """As in BTCV's release: `img/img0001.nii.gz`, `label/label0001.nii.gz`."""
    _touch(tmp_path, "img/img0001.nii.gz", "label/label0001.nii.gz", "mask/a.nii", "segmentation/a.nii", "Masks/a.nii")
    assert [scan["case"] for scan in find_scans(tmp_path)] == ["img0001"]


def test_files_named_as_labels_are_no_scans(tmp_path, caplog):
    names = (
        "c0/flair.nii",
        "c0/lesion.nii",
        "sub-1_T1w.nii.gz",
        "sub-1_desc-lesion_mask.nii.gz",
        "masks/a.nii",
        "b_seg.nii",
        "Segmentation.seg.nrrd",
        "b.label.nii.gz",
    )
    _touch(tmp_path, *names, "segment.nii", "BIG.NII.GZ")
    with caplog.at_level("INFO"):
        assert _cases(tmp_path) == ["BIG", "flair", "segment", "sub-1_T1w"]
    assert "5 files are named as labels and left out" in caplog.text
    assert _cases(tmp_path / "b_seg.nii") == ["b_seg"]  # what is named itself is meant


def test_a_label_word_within_a_name_counts_beside_the_scan(tmp_path):
    """As in the MS data of Muslim et al., where the contrast comes last."""
    contrasts = ("Flair", "T1", "T2")
    _touch(tmp_path, *(f"Patient-1/1-{word}{c}.nii" for c in contrasts for word in ("", "LesionSeg-")))
    assert _cases(tmp_path) == [f"1-{contrast}" for contrast in contrasts]
    names = ["Label_T1", "mask_study_01", "seg-2_T1", "study_02"]
    _touch(tmp_path / "alone", *(f"{name}.nii.gz" for name in names))
    assert _cases(tmp_path / "alone") == names


def test_single_file_and_list(tmp_path):
    _touch(tmp_path, "a.nii.gz", "b/b.nii", "c.nii")
    assert _cases(str(tmp_path / "a.nii.gz")) == ["a"]
    assert _cases([str(tmp_path / "c.nii"), tmp_path / "b", {"image": str(tmp_path / "a.nii.gz")}]) == ["a", "b", "c"]
    assert _cases([tmp_path / "c.nii", tmp_path / "c.nii"]) == ["c"]


def test_paths_relative_to_the_current_folder_become_absolute(tmp_path, monkeypatch):
    _touch(tmp_path, "data/a.nii")
    monkeypatch.chdir(tmp_path)
    assert find_scans("data") == [{"case": "a", "image": str(tmp_path / "data" / "a.nii")}]
    os.rename("data", "4711")  # a number, to who reads the command line
    assert find_scans(4711) == find_scans([4711]) == [{"case": "a", "image": str(tmp_path / "4711" / "a.nii")}]


def test_case_names_are_unique(tmp_path):
    _touch(tmp_path, "s1/brain.nii.gz", "s2/brain.nii.gz", "s2/other.nii.gz", "s3/t.nii", "s3/t.nrrd")
    assert _cases(tmp_path) == ["other", "s1_brain", "s2_brain", "s3_t.nii", "s3_t.nrrd"]


def test_a_longer_name_does_not_take_anothers(tmp_path):
    _touch(tmp_path, "a/b.nii", "c/b.nii", "d/a_b.nii")
    assert _cases(tmp_path) == ["a_b", "c_b", "d_a_b"]


def test_names_that_cannot_be_told_apart(tmp_path):
    _touch(tmp_path, "a/b_c.nii", "a_b/c.nii", "x/c.nii", "x/b_c.nii")
    with pytest.raises(InputError, match=r"would be one case: rename one"):
        find_scans(tmp_path)


def test_links_are_followed_but_not_in_circles(tmp_path):
    _touch(tmp_path, "real/a.nii")
    os.symlink(tmp_path, tmp_path / "real" / "circle")
    (tmp_path / "data").mkdir()
    os.symlink(tmp_path / "real", tmp_path / "data" / "linked")
    assert _cases(tmp_path / "data") == ["a"]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch, caplog):
    _touch(tmp_path, "open/a.nii", "closed/b.nii")
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert _cases(tmp_path) == ["a"]
    assert f"{tmp_path}/closed cannot be listed (Permission denied)" in caplog.text


@pytest.mark.parametrize("name", ["{:03d}.dcm", "{:03d}.IMA", "IM{}", "1.2.840.{}"])
def test_dicom_folder_is_one_scan(tmp_path, write_dicom, name):
    series = write_dicom(tmp_path / "patient" / "t1", name=name)
    _touch(tmp_path, "patient/t1/notes", "patient/._x.dcm")
    write_dicom(tmp_path, name="DICOMDIR")  # an index that lies beside the series' folders
    assert find_scans(tmp_path) == find_scans(series) == [{"case": "t1", "image": series}]


def test_dicom_folders_of_one_name(tmp_path, write_dicom):
    for patient in ("p1", "p2"):
        write_dicom(tmp_path / patient / "t1")
    assert _cases(tmp_path) == ["p1_t1", "p2_t1"]


def test_mixed_dicom_folder(tmp_path, write_dicom):
    write_dicom(tmp_path / "mixed", name="a{}.dcm")
    write_dicom(tmp_path / "mixed", name="b{}.dcm")
    with pytest.raises(InputError, match="mixed holds 2 DICOM series"):
        find_scans(tmp_path)
    assert find_scans(tmp_path, mixed_dicom=True) == [{"case": "mixed", "image": str(tmp_path / "mixed")}]


def test_files_of_many_frames_are_scans(tmp_path, write_dicom):
    whole = np.zeros((4, 4, 3))
    alone = write_enhanced(tmp_path / "alone" / "1.2.3", whole, np.eye(4))
    for name in ("b/x.dcm", "b/y.DCM", "b/1.2.4", "c/x.dcm"):
        write_enhanced(tmp_path / name, whole, np.eye(4))
    write_dicom(tmp_path / "c", name="{}.dcm")
    assert _cases(tmp_path) == ["1.2.4", "alone", "b_x", "c", "c_x", "y"]
    assert _cases(alone) == ["1.2.3"] and _cases([tmp_path / "b" / "y.DCM"]) == ["y"]
    images = {scan["case"]: scan["image"] for scan in find_scans(tmp_path)}
    assert images["alone"] == str(tmp_path / "alone") and images["b_x"] == str(tmp_path / "b" / "x.dcm")


def test_dicom_that_is_no_image_is_no_scan(tmp_path, write_dicom):
    write_report(tmp_path / "reports" / "a.dcm")
    with pytest.raises(InputError, match="no scans in"):
        find_scans(tmp_path)
    write_dicom(tmp_path / "series")
    write_report(tmp_path / "series" / "a.dcm")
    assert _cases(tmp_path) == ["series"]


def test_single_dicom_file_is_refused(tmp_path, write_dicom):
    series = write_dicom(tmp_path / "series")
    with pytest.raises(InputError, match="give the folder of its series"):
        find_scans(f"{series}/000.dcm")


@pytest.mark.parametrize("wrap", [lambda entries: entries, lambda entries: {"training": entries, "testing": []}])
def test_json_data_list(tmp_path, write_dicom, wrap):
    _touch(tmp_path, "a.nii", "b.nii", "sub/c.nii", "unlisted.nii")
    write_dicom(tmp_path / "series")
    entries = [{"image": "sub/c.nii", "label": "c_label.nii"}, {"image": ["b.nii", "a.nii"]}, {"image": "series"}]
    (tmp_path / "list.json").write_text(json.dumps(wrap(entries)))
    found = {scan["case"]: scan["image"] for scan in find_scans(tmp_path / "list.json")}
    root = str(tmp_path)
    assert found == {"c": f"{root}/sub/c.nii", "b": [f"{root}/b.nii", f"{root}/a.nii"], "series": f"{root}/series"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("{}", "no data list"),
        ('"a.nii"', "no data list"),
        ('[{"label": "a.nii"}]', "entry None where a path"),
        ("[3]", "entry 3 where a path"),
        ('[{"image": "b.nii"}]', "b.nii does not exist"),
        ('[{"image": "."}]', "is not one scan"),
        ("[]", "no scans in"),
    ],
)
def test_malformed_data_list(tmp_path, content, message):
    _touch(tmp_path, "a.nii", "c.nii")
    (tmp_path / "list.json").write_text(content)
    with pytest.raises(InputError, match=message):
        find_scans(tmp_path / "list.json")


def test_msd_folder(tmp_path):
    _touch(tmp_path, "imagesTr/a.nii.gz", "imagesTr/._a.nii.gz", "labelsTr/a.nii.gz", "imagesTs/._b.nii.gz")
    (tmp_path / "dataset.json").write_text('{"training": []}')
    assert find_scans(tmp_path) == [{"case": "a", "image": str(tmp_path / "imagesTr" / "a.nii.gz")}]
    _touch(tmp_path, "imagesTs/b.nii.gz")
    assert find_scans(tmp_path) == [{"case": "b", "image": str(tmp_path / "imagesTs" / "b.nii.gz")}]


def _nnunet(root, *names, channels=2):
    stated = {str(channel): f"channel {channel}" for channel in range(channels)}
    (root / "dataset.json").write_text(json.dumps({"file_ending": ".nii.gz", "channel_names": stated}))
    _touch(root, *names)


def test_nnunet_folder_with_channels(tmp_path):
    names = [f"imagesTs/{case}_000{channel}.nii.gz" for case in ("x_1", "x_2") for channel in (1, 0)]
    _nnunet(tmp_path, *names, "imagesTr/y_0000.nii.gz", "labelsTr/y.nii.gz")
    assert find_scans(tmp_path) == [
        {"case": case, "image": [f"{tmp_path}/imagesTs/{case}_000{channel}.nii.gz" for channel in (0, 1)]}
        for case in ("x_1", "x_2")
    ]


def test_nnunet_folder_with_one_channel(tmp_path):
    _nnunet(tmp_path, "imagesTr/y_0000.nii.gz", "imagesTr/._y_0000.nii.gz", "labelsTr/y.nii.gz", channels=1)
    assert find_scans(tmp_path) == [{"case": "y", "image": f"{tmp_path}/imagesTr/y_0000.nii.gz"}]


def test_channel_files_without_a_dataset_json(tmp_path):
    names = ["a_0000.nii.gz", "a_0001.nii.gz", "a_0002.nii.gz", "b_0000.nii.gz", "c.nii.gz"]
    for name in names:
        (tmp_path / name).touch()
    a, more, third, b, c = (str(tmp_path / name) for name in names)
    pairs = [{"case": "a", "image": [a, more]}, {"case": "a_0002", "image": third}]
    assert find_scans(tmp_path, num_channels=2) == [*pairs, {"case": "b_0000", "image": b}, {"case": "c", "image": c}]
    assert find_scans([more, a], num_channels=2) == pairs[:1]
    assert len(find_scans(tmp_path)) == 5


def test_nnunet_folder_lacking_a_channel(tmp_path):
    _nnunet(tmp_path, "imagesTr/y_0001.nii.gz")
    with pytest.raises(InputError, match=r"y_0000.nii.gz is missing"):
        find_scans(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "no scans in .*empty"),
        ("texts", "no scans in .*texts"),
        ("nowhere", "nowhere does not exist"),
        ("texts/a.txt", "a.txt is not a scan"),
    ],
)
def test_nothing_to_find(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    _touch(tmp_path, "texts/a.txt")
    with pytest.raises(InputError, match=message):
        find_scans(tmp_path / name)


def test_results_are_no_scans(tmp_path):
    _touch(tmp_path, "a.nii", "eval/a_result.nii.gz", "more/b.nii")

    def found(source, results):
        return [scan["case"] for scan in find_scans(source, results=results)]

    assert found(tmp_path, tmp_path / "eval") == ["a", "b"] and found(tmp_path, None) == ["a", "a_result", "b"]
    assert found([tmp_path, tmp_path / "eval" / "a_result.nii.gz"], tmp_path / "eval") == ["a", "a_result", "b"]
    assert found(tmp_path / "a.nii", tmp_path) == ["a"] and found(tmp_path / "more", tmp_path) == ["b"]
    with pytest.raises(InputError, match="be taken for scans: give another output_dir"):
        find_scans(tmp_path, results=tmp_path)
    (tmp_path / "dataset.json").write_text("{}")
    _touch(tmp_path, "imagesTr/c.nii")
    assert found(tmp_path, tmp_path) == ["c"]


def test_empty_list():
    with pytest.raises(InputError, match="no scans in"):
        find_scans([])


def test_real_folders(real_data):
    assert _cases(real_data / "brain_t1") == [
        path.name.removesuffix(".nii.gz") for path in sorted((real_data / "brain_t1").glob("*.nii.gz"))
    ]
    names = sorted(path.name for path in (real_data / "Task04_Hippocampus" / "imagesTr").glob("[!.]*"))
    assert [f"{case}.nii.gz" for case in _cases(real_data / "Task04_Hippocampus")] == names
