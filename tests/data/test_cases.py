"""A sound dataset passes in both layouts; every way in which it can be unfit gives one clear line."""

import csv
import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from scripts.data import cases as cases_module
from scripts.data import code, curate, image_marks, names_by_image_mark, pretraining_scans
from scripts.data.cases import labelled_cases
from scripts.data.reading import stamp
from scripts.errors import InputError

LABELS = {"background": 0, "anterior": 1, "posterior": 2}
SHAPE = (6, 5, 4)


class Dataset:
    """A small dataset in either layout, of which tests spoil single parts."""

    def __init__(self, root, write_nifti, volume, nnunet, channels):
        self.root, self.write, self.volume, self.nnunet, self.num_channels = root, write_nifti, volume, nnunet, channels
        names = {str(channel): f"MR{channel}" for channel in range(channels)}
        if nnunet:
            labels = {"background": 0, "Anterior": 1, "Posterior": 2}
            self.content = {"labels": labels, "channel_names": names, "file_ending": ".nii.gz", "numTraining": 3}
        else:
            labels = {"0": "background", "1": "Anterior", "2": "Posterior"}
            pairs = [{"image": f"./imagesTr/c{i}.nii.gz", "label": f"./labelsTr/c{i}.nii.gz"} for i in (2, 1, 0)]
            self.content = {"labels": labels, "modality": names, "training": pairs}
        self.save()
        for case in ("c0", "c1", "c2"):
            self.image(case)
            self.label(case)

    @property
    def channels(self):
        return [f"mr{channel}" for channel in range(self.num_channels)]

    def save(self):
        self.root.mkdir(exist_ok=True)
        (self.root / "dataset.json").write_text(json.dumps(self.content))

    def image_path(self, case, channel=0):
        return self.root / "imagesTr" / (f"{case}_{channel:04d}.nii.gz" if self.nnunet else f"{case}.nii.gz")

    def label_path(self, case):
        return self.root / "labelsTr" / f"{case}.nii.gz"

    def image(self, case, data=None, **space):
        """Write the image of a case; `data` has its channels last if there are several."""
        shape = (*SHAPE, self.num_channels) if self.num_channels > 1 else SHAPE
        data = self.volume(*shape) if data is None else data
        if self.nnunet and self.num_channels > 1:
            for channel in range(self.num_channels):
                self.write(self.image_path(case, channel), data[..., channel], **space)
        else:
            self.write(self.image_path(case), data, **space)

    def label(self, case, data=None, **space):
        self.write(self.label_path(case), self.volume(*SHAPE) % 3 if data is None else data, **space)

    def cases(self, labels=LABELS, account=None, regions=None):
        return labelled_cases(self.root, labels, self.channels, account, regions)

    def error(self, **arguments):
        with pytest.raises(InputError) as error:
            self.cases(**arguments)
        assert "\n" not in str(error.value)
        return str(error.value)


@pytest.fixture
def dataset(tmp_path, write_nifti, volume):
    """Return a function that makes a dataset; by default MSD with one channel."""
    return lambda nnunet=False, channels=1: Dataset(tmp_path / "data", write_nifti, volume, nnunet, channels)


@pytest.fixture(params=[(False, 1), (False, 2), (True, 1), (True, 2)], ids=["msd", "msd2", "nnunet", "nnunet2"])
def any_dataset(request, tmp_path, write_nifti, volume):
    """Return a dataset of every layout and with one or two channels."""
    return Dataset(tmp_path / "data", write_nifti, volume, *request.param)


def test_sound_datasets(any_dataset):
    several = any_dataset.nnunet and any_dataset.num_channels > 1
    images = {c: [str(any_dataset.image_path(c, i)) for i in range(1 + several)] for c in ("c0", "c1", "c2")}
    assert any_dataset.cases() == [
        {
            "case": case,
            "image": files if several else files[0],
            "label": str(any_dataset.label_path(case)),
            "stamp": stamp([*files, str(any_dataset.label_path(case))]),
        }
        for case, files in images.items()
    ]


@pytest.mark.parametrize("by", ["dataset", "folder", "labels"])
def test_images_are_known_again_that_a_pretraining_took(any_dataset, tmp_path, by):
    """Copied elsewhere, as cases of the dataset or as files, and with labels for its crops or without."""
    copy = shutil.copytree(any_dataset.root, tmp_path / "copy")
    source = copy / "imagesTr" if by == "folder" else copy
    as_cases = {} if by == "folder" and any_dataset.nnunet else {"num_channels": any_dataset.num_channels}
    scans = pretraining_scans(source, label_crops=by == "labels", **as_cases)
    kept = curate(scans, tmp_path / "curation.csv", min_fov_mm=0, min_file_kb=0, **as_cases)
    pretrained_on = image_marks([scan for scan in kept if not scan["case"].startswith("c1")])
    names = names_by_image_mark(any_dataset.cases())
    assert {names[mark] for mark in pretrained_on} == {"c0", "c2"} and set(names.values()) == {"c0", "c1", "c2"}


def test_real_dataset(real_data):
    cases = labelled_cases(real_data / "Task04_Hippocampus", LABELS, ["MRI"])
    assert len(cases) == 200
    assert all(Path(case["image"]).name == Path(case["label"]).name == f"{case['case']}.nii.gz" for case in cases)


def test_macos_leftovers_are_ignored(any_dataset):
    for folder in ("imagesTr", "labelsTr"):
        (any_dataset.root / folder / "._c0_0000.nii.gz").write_bytes(b"")
    assert len(any_dataset.cases()) == 3


def test_background_need_not_be_said(dataset):
    assert len(dataset().cases(labels={"ANTERIOR": 1, "Posterior": 2})) == 3


def test_channels_as_dictionary(dataset):
    data = dataset(channels=2)
    assert len(labelled_cases(data.root, LABELS, {"0": "MR0", "1": "MR1"})) == 3


@pytest.mark.parametrize(
    ("step", "told"),
    [(0.001, "0.001 x 0.001 x 0.001 mm, which makes 1.2e-07 of"), (250, "250 x 250 x 250 mm, which makes 1.9e+09 of")],
)
def test_voxel_sizes_that_cannot_be(dataset, step, told):
    data = dataset()
    data.image("c1", spacing=(step,) * 3)
    data.label("c1", spacing=(step,) * 3)
    assert f"case c1: the header of the image has voxels of {told} the network's 1 x 1 x 1 mm" in data.error()
    with pytest.raises(
        InputError, match=r"2 of 3 cases .* case c0: the header of the image has voxels of 1 x 1 x 1 mm"
    ):
        labelled_cases(data.root, LABELS, data.channels, spacing=(step,) * 3)


def test_other_channel_names_only_warn(dataset, caplog):
    data = dataset()
    with caplog.at_level(logging.WARNING):
        assert len(labelled_cases(data.root, LABELS, ["CT"])) == 3
    assert "called ['MR0'], the bundle's ['CT']" in caplog.text


def test_cases_of_one_file_name_are_named_by_their_folders(dataset):
    data = dataset()
    data.content["training"] = [{"image": f"c{i}/image.nii.gz", "label": f"c{i}/label.nii.gz"} for i in range(2)]
    data.save()
    for case in ("c0", "c1"):
        data.write(data.root / case / "image.nii.gz", data.volume(*SHAPE))
        data.write(data.root / case / "label.nii.gz", data.volume(*SHAPE) % 3)
    assert [case["case"] for case in data.cases()] == ["c0_image", "c1_image"]


def test_no_folder(tmp_path):
    for folder, message in ((tmp_path / "nowhere", "is not a folder"), (tmp_path, "is empty")):
        with pytest.raises(InputError, match=message):
            labelled_cases(folder, LABELS, ["MR"])
    (tmp_path / "scan.nii").write_bytes(b"")
    with pytest.raises(InputError, match=r'has no dataset.json: expected "labels", "modality" and "training"'):
        labelled_cases(tmp_path, LABELS, ["MR"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "does not hold a JSON object"),
        ('{"modality": {"0": "MR0"}, "training": []}', 'lacks a proper "labels"'),
        ('{"labels": {}, "training": []}', 'lacks a proper "modality"'),
        ('{"labels": {}, "modality": {"0": "MR0"}}', 'lacks a proper "training"'),
        ('{"labels": {}, "modality": ["MR0"], "training": []}', 'lacks a proper "modality"'),
        ('{"labels": {}, "file_ending": ".nii.gz"}', 'lacks a proper "channel_names"'),
        ('{"labels": {}, "channel_names": {}, "file_ending": 3}', 'lacks a proper "file_ending"'),
    ],
)
def test_malformed_dataset_json(dataset, content, message):
    data = dataset()
    (data.root / "dataset.json").write_text(content)
    assert message in data.error()


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ([], 'empty "training" list'),
        (["imagesTr/c0.nii.gz"], '"training" entry imagesTr/c0.nii.gz: expected'),
        ([{"image": "imagesTr/c0.nii.gz"}], "expected"),
        ([{"image": 3, "label": "labelsTr/c0.nii.gz"}], "entry 3 where a path"),
        ([{"image": "imagesTr/c0.nii.gz", "label": "labelsTr/c0.nii.gz"}] * 2, "more than once"),
    ],
)
def test_malformed_training_list(dataset, training, message):
    data = dataset()
    data.content["training"] = training
    data.save()
    assert message in data.error()


@pytest.mark.parametrize("nnunet", [False, True])
@pytest.mark.parametrize("labels", [{"anterior": 1}, {"anterior": 2, "posterior": 1}, {"anterior": 1, "tumour": 2}])
def test_other_labels(dataset, nnunet, labels):
    message = dataset(nnunet).error(labels=labels)
    assert f"has the labels {{'background': 0, 'Anterior': 1, 'Posterior': 2}}, the bundle has {labels}" in message


def test_regions_are_refused(dataset):
    data = dataset(nnunet=True)
    data.content["labels"]["whole"] = [1, 2]
    data.save()
    assert "label whole of [1, 2]" in data.error()


REGIONS = {"whole": [1, 2], "back": 2}


@pytest.mark.parametrize("stated", [{}, {"Whole": [2, 1], "back": 2}])
def test_a_bundle_with_regions_takes_plain_labels_and_the_same_regions(dataset, stated):
    data = dataset(nnunet=True)
    data.content["labels"] = {"background": 0, **stated} if stated else data.content["labels"]
    data.save()
    assert len(data.cases(regions=REGIONS)) == 3


@pytest.mark.parametrize("stated", [{"whole": [1, 2], "back": 1}, {"whole": [1, 2]}, {"whole": ["1", 2]}])
def test_other_regions(dataset, stated):
    data = dataset(nnunet=True)
    data.content["labels"] = {"background": 0, **stated}
    data.save()
    assert "has the label" in data.error(regions=REGIONS)


@pytest.mark.parametrize("labels", [LABELS, LABELS | {"ignore": 9}])
def test_voxels_that_nobody_labelled_are_not_learned_as_a_class(dataset, labels):
    data = dataset(nnunet=True)
    content = json.loads((data.root / "dataset.json").read_text())
    content["labels"]["Ignore"] = 9
    (data.root / "dataset.json").write_text(json.dumps(content))
    assert "has a label 'ignore' for what nobody labelled" in data.error(labels=labels)


@pytest.mark.parametrize("value", [256, -1, 1.5])
def test_values_that_no_file_of_8_bits_holds(dataset, value):
    error = dataset().error(labels={**LABELS, "tail": value})
    assert f"labels have {{'tail': {value}}}: " in error and "give values from 0 to 255" in error


def test_regions_of_unknown_values(dataset):
    assert "have the values [4], allowed are" in dataset().error(regions={"core": [1, 4]})


def test_other_number_of_channels_and_other_labels_in_one_line(dataset):
    data = dataset(channels=2)
    message = r"has the labels .* \| .*has the channels \['MR0', 'MR1'\], the bundle has \['T1'\]"
    with pytest.raises(InputError, match=message):
        labelled_cases(data.root, {"liver": 1}, ["T1"])


def test_no_cases_in_nnunet_folder(tmp_path):
    content = {"labels": {"a": 1}, "channel_names": {"0": "MR"}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"has no imagesTr/<case>_0000.nii.gz and no labelsTr/<case>.nii.gz"):
        labelled_cases(tmp_path, {"a": 1}, ["MR"])


def test_verdicts_know_all_code_that_comes_to_them(any_dataset, monkeypatch):
    digested = []
    monkeypatch.setattr(code, "code_digest", lambda paths: digested.extend(paths) or "code")
    any_dataset.cases()
    names = {path.resolve().name for path in digested if path.exists()}
    assert names >= {"cases.py", "case_checks.py", "scan_checks.py", "reading.py", "geometry.py"}


def test_missing_label(any_dataset):
    any_dataset.label_path("c1").unlink()
    assert any_dataset.error() == f"case c1: the label {any_dataset.label_path('c1')} is missing"


def test_missing_image(any_dataset):
    last = any_dataset.num_channels - 1 if any_dataset.nnunet else 0
    any_dataset.image_path("c1", last).unlink()
    assert any_dataset.error() == f"case c1: the image {any_dataset.image_path('c1', last)} is missing"


def test_nnunet_label_without_any_image(dataset):
    data = dataset(nnunet=True)
    data.image_path("c1").unlink()
    assert data.error() == f"case c1: the image {data.image_path('c1')} is missing"


def test_nnunet_with_a_channel_too_many(dataset):
    data = dataset(nnunet=True)
    data.write(data.image_path("c1", 1), data.volume(*SHAPE))
    assert "case c1: the image has 2 channels of 6 x 5 x 4 voxels where 1 of a 3D scan" in data.error()


def test_other_shape(any_dataset):
    any_dataset.label("c1", np.zeros((6, 5, 3), np.uint8))
    assert "case c1: the image has (6, 5, 4) voxels, the label (6, 5, 3)" in any_dataset.error()


@pytest.mark.parametrize(
    "affine",
    [np.diag([1, 1, 1.04, 1]), np.diag([-1, 1, 1, 1]), np.eye(4) + 0.5 * np.eye(4, k=3)],
    ids=["spacing", "flip", "half a voxel"],
)
def test_other_affine(any_dataset, affine):
    any_dataset.label("c1", affine=affine)
    assert "case c1: the label lies" in any_dataset.error()


def test_affine_within_tolerance(dataset):
    data = dataset()
    data.label("c1", affine=np.diag([1, 1, 1.0001, 1]))
    assert len(data.cases()) == 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, "value 7, allowed are {'background': 0, 'anterior': 1, 'posterior': 2}"),
        (-1, "value -1, allowed are"),
        (0.5, "value 0.5, which is not a whole number"),
        (np.nan, "value nan, which is not a whole number"),
    ],
)
def test_label_values(any_dataset, value, message):
    label = np.ones(SHAPE, np.float32)
    label[1, 2, 3] = value
    any_dataset.label("c1", label)
    assert any_dataset.error().startswith(f"case c1: the label has the {message}")


def test_label_values_may_be_stored_as_float(dataset):
    data = dataset()
    data.label("c1", np.full(SHAPE, 2.0, np.float64))
    assert len(data.cases()) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_image_that_is_not_finite(any_dataset, value):
    shape = (*SHAPE, any_dataset.num_channels) if any_dataset.num_channels > 1 else SHAPE
    image = np.ones(shape, np.float32)
    image[1, 2, 3] = value
    any_dataset.image("c1", image)
    assert f"case c1: {any_dataset.num_channels} voxels of the image are NaN or infinite" in any_dataset.error()


def test_4d_image(dataset):
    data = dataset()
    data.image("c1", data.volume(*SHAPE, 3))
    assert "case c1: the image has 3 channels of 6 x 5 x 4 voxels where 1 of a 3D scan are expected" in data.error()


def test_2d_image_and_label(dataset):
    data = dataset()
    data.image("c1", data.volume(6, 5))
    data.label("c1", data.volume(6, 5) % 3)
    message = data.error()
    assert "the image has 1 channels of 6 x 5 voxels" in message
    assert "the label has 1 channels of 6 x 5 voxels" in message


def test_4d_label(dataset):
    data = dataset()
    data.label("c1", data.volume(*SHAPE, 2) % 3)
    assert "case c1: the label has 2 channels of 6 x 5 x 4 voxels where 1" in data.error()


@pytest.mark.parametrize("part", ["image_path", "label_path"])
def test_truncated_file(any_dataset, part):
    path = getattr(any_dataset, part)("c1")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    message = any_dataset.error()
    assert message.startswith(f"case c1: {path.parent}")
    assert "cannot be read" in message


def test_all_problems_are_collected(dataset, tmp_path):
    data = dataset()
    extra = [{"image": f"imagesTr/d{i}.nii.gz", "label": f"labelsTr/d{i}.nii.gz"} for i in range(3)]
    data.content["training"] += extra
    data.save()
    data.label("c0", np.full(SHAPE, 9, np.uint8), affine=np.diag([2, 2, 2, 1]))
    message = data.error(account=tmp_path / "account.csv")
    assert message.startswith(f"4 of 6 cases of {data.root} have problems: case c0: the label has the value 9")
    assert [part.split(":")[0] for part in message.split(" | ")[1:3]] == ["case d0", "case d1"]
    assert message.endswith(f" | all of them are in {tmp_path / 'account.csv'}")
    rows = {row["case"]: row for row in csv.DictReader((tmp_path / "account.csv").open())}
    assert {case: row["verdict"] for case, row in rows.items()} == {
        **dict.fromkeys(("c1", "c2"), "valid"),
        **dict.fromkeys(("c0", "d0", "d1", "d2"), "invalid"),
    }
    assert "value 9" in rows["c0"]["reason"]
    assert "mm beside" in rows["c0"]["reason"]
    assert "all of them" not in data.error()


def test_second_start_reads_only_what_changed(dataset, tmp_path, monkeypatch):
    data, read = dataset(), []
    original = cases_module.read_scan
    monkeypatch.setattr(cases_module, "read_scan", lambda image: read.append(Path(image).name) or original(image))
    first = data.cases(account=tmp_path / "account.csv")
    assert len(read) == 6
    assert data.cases(account=tmp_path / "account.csv") == first
    assert len(read) == 6
    os.utime(data.label_path("c1"), ns=(1, 1))
    second = data.cases(account=tmp_path / "account.csv")
    assert read[6:] == ["c1.nii.gz", "c1.nii.gz"]
    assert [a["stamp"] == b["stamp"] for a, b in zip(first, second, strict=True)] == [True, False, True]


def test_repaired_case_passes(dataset, tmp_path):
    data = dataset()
    data.label("c1", np.full(SHAPE, 9, np.uint8))
    assert "value 9" in data.error(account=tmp_path / "account.csv")
    assert "value 9" in data.error(account=tmp_path / "account.csv")
    data.label("c1")
    assert len(data.cases(account=tmp_path / "account.csv")) == 3


def test_other_labels_judge_anew(dataset, tmp_path):
    data = dataset()
    data.cases(account=tmp_path / "account.csv")
    data.content["labels"] = {"0": "background", "1": "anterior"}
    data.save()
    assert "value 2" in data.error(labels={"anterior": 1}, account=tmp_path / "account.csv")
