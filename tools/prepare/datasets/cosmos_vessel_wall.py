"""COSMOS 2022's DICOM slices and CASCADE contours, a folder each: `1/*.dcm`, `1/1L.QVJ`, `1/1R.QVJ`, `1/*.QVS`.

The contours show the carotid of one side on some slices, so every side becomes a case of its own, cropped to where it
is annotated: its half of the slices, from the first to the last contour without a long gap. Gaps are filled by contours
in between. Made after the challenge's readers of its files, not tried on the files themselves.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from scripts.data.dicom_files import is_dicom
from scripts.data.reading import read_scan
from scripts.errors import InputError

from ..cascade import FRAME, LUMEN, OUTER_WALL, read_vessel
from ..case import Case, Found, Prepared
from ..contours import contour_between, fill_contour
from ..matching import match_cases, visible_files
from ..nifti import make_nifti

PATTERN = r"(^|/)(?P<case>\d+)/(?P=case)(?P<side>[LR])\.(?P<role>QVJ)$"
WALL_VALUE, LUMEN_VALUE = 1, 2
LONGEST_GAP = 10.0  # mm between contours that may be filled
OTHER_SIDE = {"L": "R", "R": "L"}

Vessel = dict[int, tuple[np.ndarray, np.ndarray]]  # slice to lumen and outer wall, (128, 2) in columns and rows


def find_cases(source: Path) -> Found:
    """Find the sides that have contours; folders of slices without any are those of the test part."""
    found = match_cases(source, PATTERN, ("qvj",), name="cosmos_{case:0>3}_{side}", group="cosmos_{case:0>3}")
    cases = [
        Case(case.name, case.group, {"series": case.files["qvj"].parent, "qvj": case.files["qvj"]})
        for case in found.cases
    ]
    contoured = {case.files["series"] for case in cases}
    folders = {path.parent for path in visible_files(source) if is_dicom(str(path))}
    without = {str(folder.relative_to(source)): "it has no contours (.QVJ)" for folder in sorted(folders - contoured)}
    return Found(cases, found.refused | without)


def read_case(case: Case) -> Prepared:
    """Rasterise one side's vessel, the wall being what lies within the outer wall and not in the lumen.

    Raises:
        InputError: nothing is annotated, or the contours do not belong to the slices.
    """
    scan = read_scan(str(case.files["series"]))
    voxels, affine = scan.numpy()[0], np.asarray(scan.affine, np.float64)
    vessel, alone = _complete_slices(case.files["qvj"], voxels.shape)
    if not vessel:
        raise InputError(f"{case.files['qvj'].name} has no slice with both lumen and outer wall")
    if max(vessel) >= voxels.shape[2]:
        raise InputError(f"there are contours on slice {max(vessel)}, but the series has {voxels.shape[2]} slices")
    notes = [f"slices left out that have one contour only: {alone}"] if alone else []
    first, last, gaps = _annotated_range(vessel, float(np.linalg.norm(affine[:3, 2])))
    vessel = {index: contours for index, contours in vessel.items() if first <= index <= last}
    label = _rasterise(vessel, voxels.shape)
    notes.append(_contrast(voxels, label, list(vessel)))
    left, right, border = _half(case.files["qvj"], vessel, voxels.shape)
    crop = (slice(left, right), slice(None), slice(first, last + 1))
    placed = affine @ nib.affines.from_matvec(np.eye(3), [left, 0, first])
    notes += [
        f"cropped to slices {first} to {last} and columns {left} to {right - 1}, {border}",
        f"{len(vessel)} of {last - first + 1} slices annotated, contours in between interpolated{gaps}",
    ]
    return Prepared([make_nifti(voxels[crop], placed)], make_nifti(label[crop], placed), notes)


def _complete_slices(project: Path, shape: tuple[int, ...]) -> tuple[Vessel, int]:
    """Return the contours of the slices that have both, in columns and rows, and how many slices have but one."""
    if shape[0] != shape[1]:
        raise InputError(f"slices of {shape[0]} x {shape[1]} pixels are not square, as the contours' frame is")
    slices, scale = read_vessel(project), shape[0] / FRAME
    both = {
        index: (found[LUMEN] * scale, found[OUTER_WALL] * scale) for index, found in slices.items() if len(found) == 2
    }
    return both, len(slices) - len(both)


def _annotated_range(vessel: Vessel, spacing: float) -> tuple[int, int, str]:
    """Return the first and last slice of the longest part without a long gap, and what of the vessel is left out."""
    indices = np.array(sorted(vessel))
    parts = np.split(indices, np.flatnonzero(np.diff(indices) * spacing > LONGEST_GAP) + 1)
    longest = max(parts, key=lambda part: part[-1] - part[0])
    left_out = len(indices) - len(longest)
    if longest[-1] == longest[0]:
        raise InputError(f"no two annotated slices are within {LONGEST_GAP:g} mm: there is no volume to cut out")
    note = f", {left_out} beyond gaps of more than {LONGEST_GAP:g} mm left out" if left_out else ""
    return int(longest[0]), int(longest[-1]), note


def _rasterise(vessel: Vessel, shape: tuple[int, ...]) -> np.ndarray:
    """Return a label map of the vessel from its first to its last slice."""
    label = np.zeros(shape, np.uint8)
    indices = sorted(vessel)
    for low, high in zip(indices, indices[1:] + indices[-1:], strict=True):
        for index in range(low, max(high, low + 1)):
            share = (index - low) / max(high - low, 1)
            lumen, wall = (contour_between(*pair, share) for pair in zip(vessel[low], vessel[high], strict=True))
            label[:, :, index][fill_contour(wall, (shape[0], shape[1]))] = WALL_VALUE
            label[:, :, index][fill_contour(lumen, (shape[0], shape[1]))] = LUMEN_VALUE
    return label


def _contrast(voxels: np.ndarray, label: np.ndarray, annotated: list[int]) -> str:
    """Tell how much darker the lumen is than its wall, which it must be in a black-blood scan."""
    chosen, values = voxels[:, :, annotated], label[:, :, annotated]
    lumen, wall = (float(np.median(chosen[values == value])) for value in (LUMEN_VALUE, WALL_VALUE))
    if lumen >= wall:
        raise InputError(
            f"the lumen is not darker ({lumen:.0f}) than its wall ({wall:.0f}), as it is in black-blood MRI: contours "
            "and slices do not belong together"
        )
    return f"median in the lumen {lumen:.0f}, in the wall {wall:.0f}"


def _half(project: Path, vessel: Vessel, shape: tuple[int, ...]) -> tuple[int, int, str]:
    """Return the columns of a vessel's side, from the border between both to the edge, and where the border is."""
    low, high = _columns(vessel)
    other = project.with_name(f"{project.stem[:-1]}{OTHER_SIDE[project.stem[-1].upper()]}{project.suffix}")
    border, where = (shape[0] - 1) / 2, "half of the slice"
    others = _complete_slices(other, shape)[0] if other.is_file() else {}
    if others:
        other_low, other_high = _columns(others)
        if other_low > high or other_high < low:
            border = (high + other_low) / 2 if other_low > high else (other_high + low) / 2
            where = "up to half way to the other side's vessel"
    else:
        where += " (the other side has no contours)"
    if low + high < 2 * border:
        return 0, int(np.floor(max(border, high))) + 1, where
    return int(np.ceil(min(border, low))), shape[0], where


def _columns(vessel: Vessel) -> tuple[float, float]:
    """Return the first and the last column of a vessel."""
    columns = np.concatenate([wall[:, 0] for _, wall in vessel.values()])
    return float(columns.min()), float(columns.max())
