"""What a dataset's module tells of its cases; the rest of `tools.prepare` knows no dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib


@dataclass(frozen=True)
class Case:
    """A case as found in the release, before anything but names was read.

    Attributes:
        name: of its files in the prepared dataset, without channel number and ending.
        group: what must not be divided by a split: the patient, or the site where a dataset asks for that. It is called
            as the bundle's `patient_pattern` calls it, so that both draw the same test part.
        files: all files that it is read from, by role (such as "T1w", "mask"); folders of slices stand as folders.
    """

    name: str
    group: str
    files: dict[str, Path]


@dataclass(frozen=True)
class Prepared:
    """A case in the common form.

    Attributes:
        images: one 3D image per channel, in the order of the card's `channel_names`, all on the label's grid.
        label: 3D label map of the card's label values.
        notes: what was changed on the way, in words for the account ("z spacing 1.0 -> 5.5 mm, Supplementary Table 2").
    """

    images: list[nib.Nifti1Image]
    label: nib.Nifti1Image
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """What a release folder holds.

    Attributes:
        cases: sorted by name.
        refused: name of a case or file to the reason why it is not taken.
    """

    cases: list[Case]
    refused: dict[str, str] = field(default_factory=dict)
