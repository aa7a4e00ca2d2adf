"""What a demo's folder says, read from its files alone; what is not there is None."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from scripts.data.reading import read_scan


def read_volume(image: str | list[str]) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    """Read the first channel of a scan with its axes to the right, to the front and upwards.

    Args:
        image: a scan's file, folder of a DICOM series, or channel files.

    Returns:
        The voxels (X, Y, Z) and their spacing in mm.
    """
    scan = read_scan(image)
    affine = np.asarray(scan.affine, dtype=float)
    voxels = np.asarray(scan.as_tensor()[0], dtype=np.float32)
    volume = nib.as_closest_canonical(nib.Nifti1Image(voxels, affine))
    x, y, z = (float(zoom) for zoom in volume.header.get_zooms()[:3])
    return np.asarray(volume.dataobj, dtype=np.float32), (x, y, z)


def read_steps(out: Path) -> list[dict[str, Any]]:
    """Return the stamps of the finished steps in the order in which they ended."""
    stamps = [json.loads(path.read_text()) for path in (out / "steps").glob("*.json")]
    return sorted(stamps, key=lambda stamp: stamp["finished"])
