from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from tests.releases.labelled_folders import draw_pair
from tests.releases.volumes import AFFINE
from tools.prepare.labelled_folders import find_pairs


@pytest.mark.parametrize(("dataset", "form"), [("t2_aneurysm", "scan_{}"), ("tof_aneurysm", "{}")])
def test_both_layouts_and_formats(dataset, form, converted):
    taken, refused = converted(dataset)
    assert set(taken) == {form.format(n) for n in range(1, 9)}
    assert refused == {form.format(9): "it has no labels"}
    for number in (1, 5):
        image, label = draw_pair(number)
        _, prepared = taken[form.format(number)]
        assert np.array_equal(prepared.images[0].dataobj, image) and np.array_equal(prepared.label.dataobj, label)
        assert np.allclose(prepared.images[0].affine, AFFINE) and np.allclose(prepared.label.affine, AFFINE)


def test_a_case_in_two_formats_is_there_twice(tmp_path):
    for path in ("images/a.nii", "images/a.nii.gz", "labels/a.nii.gz", "images/b.mha", "labels/b.mha"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), tmp_path / "a.nii")
        (tmp_path / "a.nii").rename(tmp_path / path)
    found = find_pairs(tmp_path)
    assert [case.name for case in found.cases] == ["b"] and "there twice" in found.refused["a"]
