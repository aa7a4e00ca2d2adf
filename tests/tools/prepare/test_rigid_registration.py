from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from tests.releases.head import head, motion, points
from tools.prepare.rigid_registration import register_rigidly

FIXED = (34, 38, 26), nib.affines.from_matvec(np.diag([-2.5, -2.5, 3.0]), [40.0, 46.0, -40.0])
CORNERS = np.array(np.meshgrid((-30, 30), (-38, 38), (-34, 34))).reshape(3, -1).T


def pair(truth, moving_size, moving_affine):
    """A head as MR, and as CT, where it was moved by `truth`."""
    places = nib.affines.apply_affine(np.linalg.inv(truth), points(moving_size, moving_affine))
    ct = nib.Nifti1Image(head(places, "CT", 1).clip(-500, 800), moving_affine)
    return nib.Nifti1Image(head(points(*FIXED), "MR", 2), FIXED[1]), ct


@pytest.mark.parametrize(
    ("degrees", "shift", "extra"),
    [((6, -5, 9), (130, -80, 400), 0), ((-10, 4, -7), (-5, 9, -12), 40)],
)
def test_a_known_motion_is_recovered_within_a_voxel(degrees, shift, extra):
    truth = motion(degrees, shift)
    size = (44, 48, 42 + extra // 2)
    affine = nib.affines.from_matvec(np.diag([-2.0, -2.0, 2.0]), np.array([44.0, 48, -42 - extra]) + shift)
    mr, ct = pair(truth, size, affine)
    found = register_rigidly(mr, ct)
    apply = nib.affines.apply_affine
    error = np.linalg.norm(apply(found.matrix, CORNERS) - apply(truth, CORNERS), axis=1)
    assert error.max() < 2.0  # mm, a voxel of the finer image
    turn = np.degrees(np.arccos((np.trace(truth[:3, :3]) - 1) / 2))
    assert found.degrees == pytest.approx(turn, abs=1)
    assert np.array_equal(register_rigidly(mr, ct).matrix, found.matrix)
    placed = found.onto_fixed(ct)
    assert placed.shape == ct.shape
    assert np.allclose(found.matrix @ placed.affine, ct.affine, atol=1e-4)


@pytest.mark.slow
def test_real_t1_and_flair_of_a_patient(real_data):
    """Both are registered to MNI space in the release: the motion put on one of them must come out."""
    flair, t1 = (nib.load(real_data / "ms_flair" / "patient19" / f"{name}.nii.gz") for name in ("FLAIR", "T1"))
    truth = motion((7, -4, 10), (60, -45, 150))
    moved = nib.Nifti1Image(t1.get_fdata(dtype=np.float32), truth @ t1.affine)
    found = register_rigidly(nib.Nifti1Image(flair.get_fdata(dtype=np.float32), flair.affine), moved)
    corners = nib.affines.apply_affine(flair.affine, np.argwhere(np.ones((2, 2, 2))) * (np.array(flair.shape) - 1))
    apply = nib.affines.apply_affine
    assert np.linalg.norm(apply(found.matrix, corners) - apply(truth, corners), axis=1).max() < 2.0
