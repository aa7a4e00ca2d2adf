"""HaN-Seg's `set_1/case_01/case_01_IMG_CT.nrrd`, `case_01_IMG_MR_T1.nrrd` and `case_01_OAR_<organ>.seg.nrrd`.

The bundle segments the MR, the organs were drawn on the CT, and both lie in different spaces: CT and MR are registered
rigidly here, which cannot follow the neck and the jaw where they were held differently. Made after descriptions of the
release, not tried on its files.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from scripts.errors import InputError

from ..cards import dataset_section
from ..case import Case, Found, Prepared
from ..download import Download
from ..itk_images import read_itk
from ..mask_transfer import crop_mask, transfer_masks
from ..matching import match_cases, visible_files
from ..nifti import make_nifti
from ..resampling import covered
from ..rigid_registration import RigidMotion, register_rigidly

DOWNLOADS = (  # checksum of torch_em's `han_seg`
    Download(
        "https://zenodo.org/records/7442914/files/HaN-Seg.zip",
        "HaN-Seg.zip",
        sha256="20226dd717f334dc1b1afe961b3375f946fa56b64a80bf5349128f90c0bbfa5f",
    ),
)
CT, MR, ORGAN = "img_ct", "img_mr_t1", "_OAR_"
PATTERN = rf"(^|/)(?P<case>case_\d+)/(?P=case)_(?P<role>{CT}|{MR})\.nrrd$"
HOUNSFIELD = (-500.0, 800.0)  # tells air, soft tissue and bone apart; metal is left out
OFFSET = 32768  # a few of the MR are stored with it
MOST_DEGREES = 30.0  # a head held otherwise, beyond which a registration has failed


def find_cases(source: Path) -> Found:
    """Find the patients with CT, MR and at least one organ."""
    found = match_cases(source, PATTERN, (CT, MR))
    cases, refused = [], dict(found.refused)
    for case in found.cases:
        organs = {
            path.name.partition(ORGAN)[2].removesuffix(".seg.nrrd"): path
            for path in visible_files(case.files[CT].parent)
            if path.name.startswith(case.name + ORGAN) and path.name.endswith(".seg.nrrd")
        }
        if organs:
            cases.append(Case(case.name, case.group, {**case.files, **organs}))
        else:
            refused[case.name] = f"it has no {ORGAN.strip('_')}"
    return Found(cases, refused)


def read_case(case: Case) -> Prepared:
    """Register CT to MR and carry the organs onto the grid of the MR.

    Raises:
        InputError: an organ is not known, or the registration failed.
    """
    labels = {name: value for name, value in dataset_section("hanseg")["labels"].items() if value}
    organs = {name: path for name, path in case.files.items() if name not in (CT, MR)}
    if unknown := sorted(organs.keys() - labels.keys()):
        raise InputError(f"the organs {unknown} are not of the bundle, which has {', '.join(labels)}")
    ct, (mr, notes) = read_itk(case.files[CT]), _without_offset(read_itk(case.files[MR]))
    motion = _register(mr, ct)
    masks = {labels[name]: crop_mask(motion.onto_fixed(read_itk(path))) for name, path in organs.items()}
    result = transfer_masks(masks, mr)
    names = {value: name for name, value in labels.items()}
    shift = np.linalg.norm(nib.affines.apply_affine(motion.matrix, _centre(mr)) - _centre(mr))
    notes.append(
        f"CT registered rigidly to MR: {motion.degrees:.1f} degrees, {shift:.1f} mm at the centre, mutual information "
        f"{motion.mutual_information:.3f}; masks interpolated linearly and cut at 0.5"
    )
    if missing := [name for name in labels if name not in organs]:
        notes.append(f"not drawn: {', '.join(missing)}")
    if result.lost:
        notes.append(f"nothing left on the grid of the MR: {', '.join(names[value] for value in result.lost)}")
    if result.cut:
        listed = (f"{names[value]} {share:.0%}" for value, share in sorted(result.cut.items()))
        notes.append(f"beyond the MR: {', '.join(listed)}")
    if result.overlap:
        notes.append(f"{result.overlap} voxels in several organs, given to the smallest")
    share = float(covered(motion.onto_fixed(ct), mr).mean())
    if share < 0.995:
        notes.append(f"the CT covers {share:.0%} of the MR, the rest is background")
    return Prepared([mr], result.label, notes)


def _without_offset(mr: nib.Nifti1Image) -> tuple[nib.Nifti1Image, list[str]]:
    voxels = np.asanyarray(mr.dataobj)
    if voxels.min() < OFFSET:
        return mr, []
    return make_nifti(voxels - np.asarray(OFFSET, voxels.dtype), mr.affine), [f"MR stored with {OFFSET} added"]


def _register(mr: nib.Nifti1Image, ct: nib.Nifti1Image) -> RigidMotion:
    tissue = nib.Nifti1Image(np.asanyarray(ct.dataobj).clip(*HOUNSFIELD).astype(np.float32), ct.affine)
    motion = register_rigidly(mr, tissue)
    if motion.degrees > MOST_DEGREES:
        raise InputError(
            f"CT and MR could not be registered: {motion.degrees:.0f} degrees came out, up to {MOST_DEGREES:.0f} can be"
        )
    return motion


def _centre(image: nib.Nifti1Image) -> np.ndarray:
    return np.asarray(nib.affines.apply_affine(image.affine, (np.array(image.shape) - 1) / 2))
