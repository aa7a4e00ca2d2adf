"""What a demo's folder says, read from its files alone; what is not there is None."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from scripts.data.reading import read_scan

from .settings import ROOT

Curve = tuple[NDArray[np.int64], NDArray[np.float64]]
PACKAGES = ("torch", "monai", "numpy", "nibabel", "pytorch-ignite", "dynamic-network-architectures")


def read_json(path: Path) -> Any:
    """Return a JSON file's content, or None if it is not there."""
    return json.loads(path.read_text()) if path.exists() else None


def read_curves(folder: Path) -> dict[str, Curve]:
    """Read all scalars of the TensorBoard files below a folder.

    Args:
        folder: searched recursively.

    Returns:
        Steps and values per tag, by step. Where an interrupted run repeated a step, its last value counts.
    """
    values: dict[str, dict[int, tuple[float, float]]] = defaultdict(dict)
    for events in sorted({path.parent for path in folder.rglob("events.out.tfevents.*")}):
        accumulator = EventAccumulator(str(events), size_guidance={"scalars": 0}, purge_orphaned_data=False)
        accumulator.Reload()
        for tag in accumulator.Tags()["scalars"]:
            for event in accumulator.Scalars(tag):
                former = values[tag].get(event.step)
                if former is None or event.wall_time >= former[0]:
                    values[tag][event.step] = (event.wall_time, event.value)
    curves = {}
    for tag, points in values.items():
        steps = sorted(points)
        curves[tag] = (np.array(steps), np.array([points[step][1] for step in steps]))
    return curves


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


def read_environment() -> dict[str, str]:
    """Say on what this runs: versions, device, source revision."""
    names = {package: version(package) for package in PACKAGES}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return {
        "device": device,
        "CPU cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **names,
        "source revision": git_revision() or "not a git checkout",
    }


def git_revision() -> str | None:
    """Return the commit of the project folder, marked where files differ from it, or None without git or a commit."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + (" with local changes" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout.strip()
