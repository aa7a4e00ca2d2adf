import logging

import pytest
import torch
from monai.transforms import Compose, Lambdad

from scripts.data import SeededDataset
from scripts.data.absent_labels import absent_labels
from scripts.transforms import ForegroundVoxelsd

LABELS = {"background": 0, "liver": 1, "spleen": 2, "stomach": 4}


def label(values):
    voxels = torch.zeros(1, 6, 6, 6)
    for place, value in enumerate(values):
        voxels[0, place, 5 - place, 3] = value
    return voxels


@pytest.fixture
def dataset(tmp_path):
    def make(*values, labels=LABELS):
        data = [{"case": str(i), "label": list(found), "stamp": ""} for i, found in enumerate(values)]
        read = Compose([Lambdad("label", label), ForegroundVoxelsd("label")])
        return SeededDataset(data, read, Compose([]), cache_dir=str(tmp_path / "cache"), labels=labels)

    return make


def test_labels_that_no_case_has_are_named(dataset):
    assert absent_labels(dataset([1], [], [1, 4]), LABELS) == ["spleen"]
    assert absent_labels(dataset([], []), LABELS) == ["liver", "spleen", "stomach"]
    assert absent_labels(dataset([4], [2, 1]), LABELS) == []


def test_no_case_is_read_after_the_last_label_was_found(dataset, monkeypatch):
    data = dataset([1, 2], [4], [1], [2])
    read, seen = data.read, []
    monkeypatch.setattr(data, "read", lambda index, reader: (seen.append(index), read(index, reader))[1])
    assert absent_labels(data, LABELS) == [] and seen == [0, 1]


def test_preparing_warns_of_them(dataset, caplog):
    dataset([1, 4], [1]).prepare()
    assert "none of the 2 training cases has spleen" in caplog.text


@pytest.mark.parametrize("options", [{"labels": None}, {}])
def test_preparing_says_nothing_else(dataset, caplog, options):
    caplog.set_level(logging.WARNING)
    dataset([1, 2], [4], **options).prepare()
    assert not caplog.records
