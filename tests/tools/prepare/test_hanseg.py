from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from scripts.errors import InputError
from tests.releases.hanseg import MR_AFFINE, MR_SIZE, NAMES, write_release
from tests.releases.head import CENTRES, RADIUS, head, points
from tools.prepare.datasets import hanseg

VOXEL = 3.0  # mm, the longest side of one of the MR


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        labels = {"background": 0} | {name: value for value, name in enumerate(NAMES, start=1)}
        patch.setattr(hanseg, "dataset_section", lambda dataset: {"labels": labels})
        found = hanseg.find_cases(write_release(tmp_path_factory.mktemp("hanseg"), 2))
        yield found, [hanseg.read_case(case) for case in found.cases]


def centres_and_volumes(label):
    voxels = np.asarray(label.dataobj)
    for value in range(1, 31):
        where = np.argwhere(voxels == value)
        yield value, nib.affines.apply_affine(label.affine, where.mean(axis=0)), len(where)


def test_every_organ_lies_where_the_formula_has_it_on_the_grid_of_the_mr(cases):
    found, (prepared, _) = cases
    assert [case.name for case in found.cases] == ["case_01", "case_02"]
    assert found.refused == {"case_03": "it has no img_mr_t1"}
    assert prepared.label.shape == MR_SIZE and np.allclose(prepared.label.affine, MR_AFFINE, atol=1e-4)
    volumes = []
    for value, centre, voxels in centres_and_volumes(prepared.label):
        assert np.linalg.norm(centre - CENTRES[value - 1]) < VOXEL
        volumes.append(voxels * abs(np.linalg.det(MR_AFFINE[:3, :3])))
    assert np.mean(volumes) == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.15)


def test_stored_offset_is_taken_off_the_mr(cases):
    _, (prepared, other) = cases
    for number, case in ((1, prepared), (2, other)):
        truth = head(points(MR_SIZE, MR_AFFINE), "MR", number).clip(0).astype(np.uint16)
        assert np.array_equal(case.images[0].dataobj, truth)
    assert "MR stored with 32768 added" in prepared.notes and "MR stored with 32768 added" not in other.notes


def test_missing_and_overlapping_organs_are_noted(cases):
    _, (complete, flawed) = cases
    label = np.asarray(flawed.label.dataobj)
    assert NAMES.index("Arytenoid") + 1 not in label
    assert "not drawn: Arytenoid" in flawed.notes and not any("not drawn" in note for note in complete.notes)
    where = CENTRES[NAMES.index("Larynx_SG")]
    index = np.round(nib.affines.apply_affine(np.linalg.inv(MR_AFFINE), where)).astype(int)
    assert label[tuple(index)] == NAMES.index("Glottis") + 1  # lies within the larynx, and is the smaller
    assert NAMES.index("Larynx_SG") + 1 in label
    assert any("in several organs, given to the smallest" in note for note in flawed.notes)


def test_unknown_organs_and_impossible_motions_are_refused(cases, monkeypatch):
    case = cases[0].cases[0]
    monkeypatch.setattr(hanseg, "dataset_section", lambda dataset: {"labels": {"background": 0, "Lips": 1}})
    with pytest.raises(InputError, match=r"organs \['A_Carotid_L'.* are not of the bundle, which has Lips"):
        hanseg.read_case(case)
    monkeypatch.setattr(hanseg, "MOST_DEGREES", -1.0)
    small = nib.Nifti1Image(head(points((12, 12, 12), np.diag([6.0, 6, 6, 1])), "MR"), np.diag([6.0, 6, 6, 1]))
    with pytest.raises(InputError, match="could not be registered"):
        hanseg._register(small, small)
