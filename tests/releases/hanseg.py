"""HaN-Seg in miniature: CT and MR in different spaces, masks on the CT's grid or cropped, an organ missing."""

from __future__ import annotations

from pathlib import Path

import itk
import nibabel as nib
import numpy as np

from tests.releases.head import CENTRES, RADIUS, head, inside, motion, points

NAMES = [
    "A_Carotid_L",
    "A_Carotid_R",
    "Arytenoid",
    "Bone_Mandible",
    "Brainstem",
    "BuccalMucosa",
    "Cavity_Oral",
    "Cochlea_L",
    "Cochlea_R",
    "Cricopharyngeus",
    "Esophagus_S",
    "Eye_AL",
    "Eye_AR",
    "Eye_PL",
    "Eye_PR",
    "Glnd_Lacrimal_L",
    "Glnd_Lacrimal_R",
    "Glnd_Submand_L",
    "Glnd_Submand_R",
    "Glnd_Thyroid",
    "Glottis",
    "Larynx_SG",
    "Lips",
    "OpticChiasm",
    "OpticNrv_L",
    "OpticNrv_R",
    "Parotid_L",
    "Parotid_R",
    "Pituitary",
    "SpinalCord",
]
MR_SIZE, MR_AFFINE = (32, 36, 26), nib.affines.from_matvec(np.diag([-2.5, -2.5, 3.0]), [39.0, 45.0, -37.0])
CT_SIZE, CT_AFFINE = (40, 44, 50), nib.affines.from_matvec(np.diag([-2.2, -2.2, 2.4]), [43.0, 48.0, -72.0])
WITH_OFFSET, MISSING, OVERLAPPING = 1, 2, 2  # the cases with a flaw
SPACE_DIRECTIONS = np.diag([-1.0, -1.0, 1.0, 1.0])


def head_to_ct(number: int) -> np.ndarray:
    """Return how the head of a case lies in the CT, whose space is far from the MR's, where it lies at the origin."""
    rng = np.random.default_rng(number)
    return motion(rng.uniform(-8, 8, 3), [rng.uniform(90, 150), rng.uniform(-90, -50), rng.uniform(300, 400)])


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many patients; one more has no MR.

    Returns:
        The folder.
    """
    for number in range(1, num_cases + 2):
        _write_patient(folder / "HaN-Seg" / "set_1" / f"case_{number:02d}", number, with_mr=number <= num_cases)
    return folder


def _write_patient(home: Path, number: int, with_mr: bool) -> None:
    home.mkdir(parents=True)
    shift = head_to_ct(number)[:3, 3]
    ct_affine = nib.affines.from_matvec(np.eye(3), shift) @ CT_AFFINE
    places = nib.affines.apply_affine(np.linalg.inv(head_to_ct(number)), points(CT_SIZE, ct_affine))
    _save(home / f"{home.name}_IMG_CT.nrrd", head(places, "CT", number).astype(np.int16), ct_affine)
    if with_mr:
        mr = head(points(MR_SIZE, MR_AFFINE), "MR", number).clip(0).astype(np.uint16)
        offset = 32768 if number == WITH_OFFSET else 0
        _save(home / f"{home.name}_IMG_MR_T1.nrrd", mr + np.uint16(offset), MR_AFFINE)
    for name, centre in zip(NAMES, CENTRES, strict=True):
        radius = RADIUS
        if number == MISSING and name == "Arytenoid":
            continue
        if number == OVERLAPPING and name == "Glottis":
            centre, radius = CENTRES[NAMES.index("Larynx_SG")], 3.5
        mask = (inside(places, centre, (radius,) * 3) >= 0.5).astype(np.uint8)
        start = [3, 4, 5] if name == "Lips" else [0, 0, 0]  # as Slicer crops, if told to
        affine = ct_affine @ nib.affines.from_matvec(np.eye(3), start)
        _save(home / f"{home.name}_OAR_{name}.seg.nrrd", mask[tuple(slice(s, None) for s in start)], affine)


def _save(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    lps = SPACE_DIRECTIONS @ affine
    image = itk.image_from_array(np.ascontiguousarray(array.T))
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(lps[:3, :3] / spacing)))
    image.SetOrigin(lps[:3, 3].tolist())
    itk.imwrite(image, str(path), compression=True)
