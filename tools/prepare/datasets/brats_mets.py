"""BraTS-METS 2023's `BraTS-MET-00002-000/BraTS-MET-00002-000-{t1n,t1c,t2w,t2f,seg}.nii.gz`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scripts.errors import InputError

from ..brats import find_brats, read_brats
from ..case import Case, Found, Prepared

CAVITY = 4


def find_cases(source: Path) -> Found:
    """Find the labelled cases."""
    return find_brats(source, "BraTS-MET")


def read_case(case: Case) -> Prepared:
    """Read contrasts and label as they are.

    Raises:
        InputError: the label is of a later release, in which 4 is the cavity left by resection.
    """
    prepared = read_brats(case)
    if CAVITY in np.asanyarray(prepared.label.dataobj):
        raise InputError("the label has a resection cavity (4) of the releases after 2023, which the bundle lacks")
    return prepared
