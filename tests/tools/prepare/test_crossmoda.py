from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from scripts.errors import InputError
from tests.releases.crossmoda import INTRA_ONLY, write_release
from tools.prepare.datasets import crossmoda

LABELS = {"background": 0, "intra-meatal tumour": 1, "extra-meatal tumour": 2, "cochlea": 3}


@pytest.fixture(autouse=True)
def card_labels(monkeypatch):
    monkeypatch.setattr(crossmoda, "dataset_section", lambda dataset: {"labels": LABELS})


@pytest.mark.parametrize(("extra", "intra"), [(1, 2), (2, 1)])
def test_the_larger_part_is_extra_meatal_whatever_its_number(tmp_path, extra, intra):
    found = crossmoda.find_cases(write_release(tmp_path, extra=extra, intra=intra))
    assert len(found.cases) == 8
    for case in found.cases:
        prepared = crossmoda.read_case(case)
        file = np.asarray(nib.load(case.files["label"]).dataobj)
        label = np.asarray(prepared.label.dataobj)
        for value, name in ((extra, "extra-meatal tumour"), (intra, "intra-meatal tumour"), (3, "cochlea")):
            assert np.array_equal(label == LABELS[name], file == value)
        assert np.array_equal(prepared.images[0].dataobj, nib.load(case.files["cet1"]).dataobj)
        cm3 = [n * 1.2 * 1.1 * 1.6 / 1000 for n in (7 * 8**3, 8 * 3**3)]  # the fourth case has no extra-meatal part
        assert prepared.notes == [
            f"label {extra} ({cm3[0]:.1f} cm3 over all cases) is taken as extra-meatal, {intra} ({cm3[1]:.1f} cm3) as "
            "intra-meatal; written as 2 and 1"
        ]
    small = next(case for case in found.cases if case.name.endswith(f"_{INTRA_ONLY}"))
    assert set(np.unique(crossmoda.read_case(small).label.dataobj)) == {0, 1, 3}


def test_releases_of_two_labels_are_refused_with_the_way_to_the_right_one(tmp_path):
    refused = crossmoda.find_cases(write_release(tmp_path, 1)).refused
    assert set(refused) == {"crossmoda_1", "crossmoda2022_ldn_2"}
    assert all("2021 or 2022 release" in reason and "syn51236108" in reason for reason in refused.values())


def test_volumes_that_are_alike_tell_nothing(tmp_path):
    case = crossmoda.find_cases(write_release(tmp_path, 1, extra=1, intra=1)).cases[0]
    with pytest.raises(InputError, match="cannot be told: 1 and 2 have 1.1 and 0.0 cm3"):
        crossmoda.read_case(case)


def test_an_unreadable_label_spoils_its_own_case_only(tmp_path):
    cases = crossmoda.find_cases(write_release(tmp_path, 3)).cases
    cases[1].files["label"].write_bytes(b"broken")
    assert crossmoda.read_case(cases[0]).notes == crossmoda.read_case(cases[2]).notes
    with pytest.raises(InputError, match="cannot be read"):
        crossmoda.read_case(cases[1])
