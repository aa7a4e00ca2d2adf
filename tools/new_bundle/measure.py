"""What one case is: its faults, and what a plan has to know of it; nothing of the volumes is kept."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from typing import Any

import nibabel as nib
import numpy as np
from monai.data import MetaTensor
from nibabel.orientations import io_orientation
from scipy.ndimage import find_objects

from scripts.data.case_checks import grid_problems, oblique_problems
from scripts.data.reading import as_list, read_scan, stamp
from scripts.data.scan_checks import form_problems, value_problems
from scripts.errors import InputError

QUANTILES = np.linspace(0, 1, 201)  # 0.5 % apart, so that nnU-Net's 0.5 and 99.5 % are among them
Row = dict[str, Any]


def files_of(case: dict[str, Any]) -> list[str]:
    """Return the image's files and the label's."""
    return [*as_list(case["image"]), case["label"]]


def measure_case(case: dict[str, Any], num_channels: int | None) -> Row:
    """Read a case once.

    Args:
        case: `{"case", "image", "label"}`.
        num_channels: how many the image has to have; None where nothing says so, and then it is one.

    Returns:
        `case`, `path`, `stamp`, `faults` as pairs of kind and text, and `measured`: None where the faults left
        nothing to measure, else

        - `shape` in voxels of the box around what is not zero, to which bundles crop, and `spacing` in mm, both along
          R, A, S;
        - `filled`: share of the volume in the box around what is not zero;
        - `channels`: for each `min` and `max` of the image; `mean`, `sd` and `quantiles` of the labelled voxels (of
          all voxels where nothing is labelled);
        - `classes`: voxels of each label value;
        - `digest` of the image's voxels.
    """
    paths = files_of(case)
    row: Row = {"case": case["case"], "path": " | ".join(paths), "stamp": stamp(paths), "faults": [], "measured": None}
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        row["faults"] = [["missing partner", f"{' and '.join(missing)} is missing: add it, or remove the case"]]
        return row
    try:
        image, label = read_scan(case["image"]), read_scan(case["label"])
    except InputError as error:
        row["faults"] = [["unreadable", str(error)]]
        return row
    row["faults"] = [list(fault) for fault in _faults(image, label, case["label"], num_channels or 1)]
    if image.ndim == label.ndim == 4 and not {"not finite", "shape"} & {kind for kind, _ in row["faults"]}:
        row["measured"] = _measured(image, label)
    return row


def _faults(image: MetaTensor, label: MetaTensor, path: str, num_channels: int) -> Iterator[tuple[str, str]]:
    for kind, scan, count in (("image", image, num_channels), ("label", label, 1)):
        yield from (("not 3D", text) for text in form_problems(kind, scan, count))
        yield from (("oblique axes", text) for text in oblique_problems(kind, scan))
    yield from (("not finite", text) for text in value_problems(image))
    if image.ndim == label.ndim == 4:
        kind = "shape" if image.shape[1:] != label.shape[1:] else "affine"
        yield from ((kind, text) for text in grid_problems(image, label))
    voxels = label.as_tensor()
    odd = voxels[voxels != voxels.round()]
    if len(odd):
        text = f"{len(odd)} voxels of the label are no whole numbers, such as {float(odd[0]):g}: "
        yield "fractional label", text + "resample labels by nearest neighbour"
    elif _is_float(path):
        yield "float label", "the label holds whole numbers as floating point: it works, save it as integers"
    if not voxels.any():
        yield "empty label", "the label is background throughout: right for a case without findings, else label it"


def _is_float(path: str) -> bool:
    if not path.endswith((".nii", ".nii.gz")):
        return False
    header: Any = nib.load(path).header
    return bool(header.get_data_dtype().kind == "f" and header.get_slope_inter()[0] in (None, 1.0))


def _measured(image: MetaTensor, label: MetaTensor) -> Row:
    axes = [int(axis) for axis in np.argsort(io_orientation(np.asarray(image.affine))[:, 0])]
    spacing = np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0)
    voxels, classes = image.numpy(), label.numpy()[0]
    foreground = voxels[:, classes > 0] if classes.any() else voxels.reshape(len(voxels), -1)
    values, counts = np.unique(classes, return_counts=True)
    box = _box(voxels)
    return {
        "shape": [box[axis] for axis in axes],
        "spacing": [round(float(spacing[axis]), 6) for axis in axes],
        "filled": round(math.prod(box) / math.prod(classes.shape), 6),
        "channels": [_channel(c, f) for c, f in zip(voxels, foreground, strict=True)],
        "classes": {f"{value:g}": int(count) for value, count in zip(values, counts, strict=True)},
        "digest": hashlib.sha256(str(voxels.shape).encode() + np.ascontiguousarray(voxels).tobytes()).hexdigest(),
    }


def _channel(voxels: np.ndarray, foreground: np.ndarray) -> Row:
    wide = foreground.astype(np.float64)
    return {
        "min": float(voxels.min()),
        "max": float(voxels.max()),
        "mean": float(wide.mean()),
        "sd": float(wide.std()),
        "quantiles": [float(f"{value:.6g}") for value in np.quantile(wide, QUANTILES)],
    }


def _box(voxels: np.ndarray) -> list[int]:
    """Return the sides of the box around what is not zero in (C, *size); all of an image that is zero throughout."""
    nonzero = (voxels != 0).any(axis=0)
    boxes = find_objects(nonzero.astype(np.uint8))
    return [side.stop - side.start for side in boxes[0]] if boxes else list(nonzero.shape)
