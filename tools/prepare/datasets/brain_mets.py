"""BrainMetShare's `mets_stanford_releaseMask_train/Mets_005/{0,1,2,3,seg}/<slice>.png`.

Made after descriptions of the release, not tried on its files. Spacing and orientation are not in the pictures: the
spacing is the publication's, and slices are taken as axial from below, seen as radiologists do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scripts.errors import InputError

from ..case import Case, Found, Prepared
from ..nifti import make_nifti
from ..slice_stack import read_stack, slice_numbers

CHANNELS = ("0", "1", "2", "3")  # T1 GRE post, T1 SE pre, T1 SE post, T2-FLAIR post
MASK = "seg"
SPACING = (0.94, 0.94, 1.0)


def find_cases(source: Path) -> Found:
    """Find the patients with all four contrasts and a mask; those of the test part have no mask."""
    found: dict[str, list[Path]] = {}
    for folder in sorted(source.rglob("Mets_*")):
        if folder.is_dir():
            found.setdefault(folder.name, []).append(folder)
    cases, refused = [], {}
    for name, folders in sorted(found.items()):
        missing = [role for role in (*CHANNELS, MASK) if not (folders[0] / role).is_dir()]
        if len(folders) > 1:
            listed = " and ".join(str(folder.relative_to(source)) for folder in folders)
            refused[name] = f"it is there twice, as {listed}: keep one"
        elif missing:
            refused[name] = f"it has no {' and no '.join(missing)}"
        else:
            cases.append(Case(name, name, {role: folders[0] / role for role in (*CHANNELS, MASK)}))
    return Found(cases, refused)


def read_case(case: Case) -> Prepared:
    """Stack the slices in the order of their numbers; mask values 0 and 255 become 0 and 1.

    Raises:
        InputError: the contrasts and the mask have not the same slices, or the mask is not one of two values.
    """
    numbers = {role: list(slice_numbers(folder)) for role, folder in case.files.items()}
    for role in (*CHANNELS[1:], MASK):
        if numbers[role] != numbers[CHANNELS[0]]:
            raise InputError(f"folder {role} has {len(numbers[role])} slices, not those of folder {CHANNELS[0]}")
    mask = read_stack(case.files[MASK])
    values = set(np.unique(mask).tolist())
    if not (values <= {0, 255} or values <= {0, 1}):
        raise InputError(f"the mask has the values {sorted(values)[:5]}, expected are 0 and 255")
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(mask.shape) - 1) / 2)
    images = [make_nifti(read_stack(case.files[role]), affine) for role in CHANNELS]
    note = f"{mask.shape[2]} slices sorted by number, spacing {' x '.join(map(str, SPACING))} mm as published"
    return Prepared(images, make_nifti((mask > 0).astype(np.uint8), affine), [note])
