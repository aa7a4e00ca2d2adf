"""Muslim et al. 2022: `Patient-1/1-Flair.nii`, `Patient-1/1-LesionSeg-Flair.nii` and Supplementary Table 2 (.xlsx).

Also taken is the set of Lesjak et al. 2017 in MNI space, `patient01/FLAIR.nii.gz` and `patient01/lesion.nii.gz`.
"""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np

from scripts.errors import InputError

from ..case import Case, Found, Prepared
from ..download import Download
from ..matching import match_cases, visible_files
from ..nifti import make_nifti, read_nifti
from ..spacing_table import read_spacings

PAGE = "https://data.mendeley.com/datasets/8bctsm8jz7/1"
DOWNLOADS = (  # address and checksum are those of torch_em's `mendeley_ms`
    Download(
        "https://data.mendeley.com/public-files/datasets/8bctsm8jz7/files/"
        "9356efeb-dcd8-4213-a2d4-8febe9f1a5db/file_downloaded",
        "ms_flair.zip",
        sha256="c90f0f47c9e1a5e0fafc87b77dfcbcb09ac0cf9ffdaa333aaec1b9c63d31a7b3",
    ),
)
MUSLIM = r"(^|/)Patient-(?P<case>\d+)/(?P=case)-(?P<role>Flair|LesionSeg-Flair)\.nii(\.gz)?$"
LESJAK = r"(^|/)patient(?P<case>\d+)/(?P<role>FLAIR|lesion)\.nii(\.gz)?$"


def find_cases(source: Path, trust_headers: bool = False) -> Found:
    """Find the patients, and the table that holds their true z spacing.

    Args:
        source: the release's folder.
        trust_headers: take the z spacing of the headers, which is known to be wrong, and need no table.

    Raises:
        InputError: there is no table.
    """
    found = match_cases(source, MUSLIM, ("flair", "lesionseg-flair"), name="patient_{case:0>2}")
    if not found.cases:
        return match_cases(source, LESJAK, ("flair", "lesion"), name="lesjak_{case:0>2}")
    if trust_headers:
        return found
    tables = [path for path in visible_files(source) if re.search(r"table\s*2\b.*\.xlsx$", path.name, re.IGNORECASE)]
    if len(tables) != 1:
        raise InputError(
            f"{source} has {len(tables)} files like 'Supplementary Table 2 ... .xlsx', one is needed: the z spacing "
            f"in the headers is wrong, the true one stands there; get it from {PAGE}, or give --trust_headers True to "
            "take the headers as they are"
        )
    read_spacings(tables[0])
    return Found(
        [Case(case.name, case.group, {**case.files, "table": tables[0]}) for case in found.cases], found.refused
    )


def read_case(case: Case) -> Prepared:
    """Read FLAIR and mask; with a table, both get its z spacing, and the mask lies where its image does."""
    image, mask = (read_nifti(path) for role, path in case.files.items() if role != "table")
    mask, notes = _one_label(mask)
    if nib.aff2axcodes(image.affine) != nib.aff2axcodes(mask.affine):
        raise InputError(f"the axes of FLAIR and mask differ: {_axes(image)} and {_axes(mask)}")
    header = float(np.linalg.norm(image.affine[:3, 2]))
    if "table" not in case.files:
        return Prepared([image], mask, [*notes, f"z spacing {header:.4g} mm as in the header"])
    number = int(case.name.removeprefix("patient_"))
    spacing = read_spacings(case.files["table"]).get(number)
    if spacing is None:
        raise InputError(f"{case.files['table'].name} has no spacing between slices for patient {number}")
    affine = image.affine.copy()
    affine[:3, 2] *= spacing / header
    notes.append(f"z spacing {header:.4g} -> {spacing:.4g} mm, Supplementary Table 2")
    return Prepared([_placed(image, affine)], _placed(mask, affine), notes)


def _one_label(mask: nib.Nifti1Image) -> tuple[nib.Nifti1Image, list[str]]:
    """Return a mask whose lesions are 1, and a note if they were another single value."""
    voxels = np.asanyarray(mask.dataobj)
    values = [value for value in np.unique(voxels) if value != 0]
    if len(values) != 1 or values[0] == 1:
        return mask, []
    return make_nifti((voxels != 0).astype(np.uint8), mask.affine), [f"mask value {values[0]:g} is written as 1"]


def _placed(image: nib.Nifti1Image, affine: np.ndarray) -> nib.Nifti1Image:
    return make_nifti(np.asanyarray(image.dataobj), affine)


def _axes(image: nib.Nifti1Image) -> str:
    return "".join(nib.aff2axcodes(image.affine))
