"""CrossMoDA 2023's `TrainingSource/crossmoda2023_{etz,ldn,ukm}_1_ceT1.nii.gz` and `crossmoda2023_ldn_1_Label.nii.gz`.

The release's labels 1 and 2 are the two parts of the tumour; sources do not agree which is which. They are told apart
here by anatomy: over all cases the part outside of the meatus, a bony canal, is much the larger. Made after
descriptions of the release, not tried on its files.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np

from scripts.errors import InputError

from ..cards import dataset_section
from ..case import Case, Found, Prepared
from ..matching import match_cases, visible_files
from ..nifti import make_nifti, read_nifti

PATTERN = r"(^|/)(?P<case>crossmoda2023_(etz|ldn|ukm)_\d+)_(?P<role>ceT1|Label)\.nii(\.gz)?$"
EARLIER = r"^(?P<case>crossmoda(2021|2022)?(_(etz|ldn))?_\d+)_(ceT1|Label)\.nii(\.gz)?$"
TUMOUR_PARTS, COCHLEA = (1, 2), 3  # in the release
LEAST_RATIO = 2.0  # of their volumes over all cases, tabulated as about 20


def find_cases(source: Path) -> Found:
    """Find the labelled contrast-enhanced T1 scans; the releases of 2021 and 2022 do not divide the tumour."""
    found = match_cases(source, PATTERN, ("cet1", "label"))
    matches = [re.match(EARLIER, path.name, re.IGNORECASE) for path in visible_files(source)]
    reason = "it is of the 2021 or 2022 release, whose tumour is one label: take that of 2023, Synapse syn51236108"
    return Found(found.cases, found.refused | dict.fromkeys(sorted({m["case"] for m in matches if m}), reason))


def read_case(case: Case) -> Prepared:
    """Read a scan and its label, whose values become those of the card."""
    image, label = read_nifti(case.files["cet1"]), read_nifti(case.files["label"])
    extra, volumes = _outside_of_meatus(case.files["label"].parent)
    intra = TUMOUR_PARTS[1] if extra == TUMOUR_PARTS[0] else TUMOUR_PARTS[0]
    names = dataset_section("crossmoda")["labels"]
    values = {extra: _value(names, "extra"), intra: _value(names, "intra"), COCHLEA: _value(names, "cochlea")}
    voxels = np.asanyarray(label.dataobj)
    if unknown := sorted(set(np.unique(voxels).tolist()) - {0, *values}):
        raise InputError(f"the label has the values {unknown}, the release has 0 to 3")
    mapped = np.zeros(voxels.shape, np.uint8)
    for value, wanted in values.items():
        mapped[voxels == value] = wanted
    note = (
        f"label {extra} ({volumes[extra]:.1f} cm3 over all cases) is taken as extra-meatal, {intra} "
        f"({volumes[intra]:.1f} cm3) as intra-meatal; written as {values[extra]} and {values[intra]}"
    )
    return Prepared([image], make_nifti(mapped, label.affine), [note])


@cache
def _outside_of_meatus(folder: Path) -> tuple[int, dict[int, float]]:
    """Return which of the tumour's labels is the part outside of the meatus, and both volumes in cm3 over a folder.

    Raises:
        InputError: the volumes are too much alike to tell.
    """
    volumes = dict.fromkeys(TUMOUR_PARTS, 0.0)
    for path in folder.iterdir():
        if re.search(PATTERN, path.name, re.IGNORECASE) and "_label." in path.name.lower():
            for part, volume in _volumes(path).items():
                volumes[part] += volume
    smaller, larger = sorted(TUMOUR_PARTS, key=lambda part: volumes[part])
    if volumes[larger] < LEAST_RATIO * volumes[smaller] or not volumes[smaller]:
        raise InputError(
            f"which label is the extra-meatal tumour cannot be told: 1 and 2 have {volumes[1]:.1f} and "
            f"{volumes[2]:.1f} cm3 over all cases; prepare the whole release at once"
        )
    return larger, volumes


def _volumes(path: Path) -> dict[int, float]:
    """Return the volumes in cm3 of the tumour's labels; none of a file that is refused when its own turn comes."""
    try:
        label = read_nifti(path)
    except InputError:
        return {}
    voxels, size = np.asanyarray(label.dataobj), abs(np.linalg.det(label.affine[:3, :3])) / 1000
    return {part: float(np.count_nonzero(voxels == part) * size) for part in TUMOUR_PARTS}


def _value(labels: dict[str, int], word: str) -> int:
    """Return the value of the card's only label that starts with a word."""
    (value,) = (value for name, value in labels.items() if name.lower().startswith(word))
    return value
