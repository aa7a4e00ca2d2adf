"""BraTS-Africa's `BraTS-SSA-00002-000/BraTS-SSA-00002-000-{t1n,t1c,t2w,t2f,seg}.nii.gz`, of Synapse or TCIA."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scripts.errors import InputError

from ..brats import find_brats, read_brats
from ..case import Case, Found, Prepared
from ..nifti import make_nifti

OTHER = "otherneoplasms"
ENHANCING, FORMERLY_ENHANCING = 3, 4


def find_cases(source: Path) -> Found:
    """Find the gliomas; TCIA's folder of other neoplasms is left out."""
    found = find_brats(source, "BraTS-SSA")
    others = {case.name for case in found.cases if OTHER in case.files["seg"].as_posix().lower()}
    reasons = dict.fromkeys(sorted(others), "it is no glioma but one of TCIA's other neoplasms")
    return Found([case for case in found.cases if case.name not in others], found.refused | reasons)


def read_case(case: Case) -> Prepared:
    """Read the contrasts; enhancing tumour, 4 in BraTS's numbering before 2023, becomes 3."""
    prepared = read_brats(case)
    label = np.asanyarray(prepared.label.dataobj)
    if FORMERLY_ENHANCING not in label:
        return prepared
    if ENHANCING in label:
        raise InputError("the label has both 3 and 4, which belong to different numberings")
    renumbered = np.where(label == FORMERLY_ENHANCING, ENHANCING, label)
    notes = ["older numbering: 4, enhancing tumour, is written as 3"]
    return Prepared(prepared.images, make_nifti(renumbered, prepared.label.affine), notes)
