"""Time and memory of segmenting one large scan into many classes: `python -m benchmarks.inference --output out.json`.

The network is a single convolution, so that what counts is everything around it: windows, logits, bringing them back
to the scan's grid, deciding. The default is an abdominal CT of 512 x 512 x 200 with thirty organs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd

from scripts.files import save_json, to_json
from scripts.inferers import MirroredSlidingWindowInferer
from scripts.transforms import InvertedLabelsd, Resampled
from tools.cli import cli
from tools.memory import GIB, peak_bytes


def main(
    output: str,
    size: Sequence[int] = (512, 512, 200),
    classes: int = 31,
    patch_size: Sequence[int] = (160, 160, 160),
    spacing: Sequence[float] = (0.8, 0.8, 2.0),
    target: Sequence[float] = (0.8, 0.8, 2.0),
    half_above_gib: float = 2.0,
) -> None:
    """Segment a generated scan, print and write JSON.

    Args:
        output: file to write.
        size: voxels of the scan.
        classes: of the network, background included.
        patch_size: voxels of a window.
        spacing: of the scan, in mm.
        target: spacing that the network works at, in mm.
        half_above_gib: of `MirroredSlidingWindowInferer`.
    """
    with tempfile.TemporaryDirectory() as folder:
        scan = str(Path(folder, "scan.nii"))
        nib.save(nib.Nifti1Image(phantom(size), np.diag([*spacing, 1.0])), scan)
        before, began = peak_bytes("cpu"), time.perf_counter()
        labels = segment(scan, classes, patch_size, target, half_above_gib)
    report = {
        "size": list(size),
        "classes": classes,
        "patch_size": list(patch_size),
        "labels": len(labels.unique()),
        "seconds": round(time.perf_counter() - began, 1),
        "gib_before": round(before / GIB, 3),
        "peak_gib": round(peak_bytes("cpu") / GIB, 3),
    }
    print(to_json(report))
    save_json(report, output)


@torch.no_grad()
def segment(
    scan: str, classes: int, patch_size: Sequence[int], target: Sequence[float], half_above_gib: float
) -> torch.Tensor:
    """Return labels (1, D, H, W) of a scan on its own grid, by the steps of the segmentation bundles."""
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, classes, 1)
    preprocessing = Compose(
        [
            LoadImaged("image", reader="NibabelReader"),
            EnsureChannelFirstd("image"),
            Orientationd("image", axcodes="RAS", labels=None),
            Resampled("image", target),
        ]
    )
    item = preprocessing({"image": scan})
    inferer = MirroredSlidingWindowInferer(
        roi_size=patch_size, overlap=0.5, mode="gaussian", half_above_gib=half_above_gib
    )
    item["pred"] = inferer(item["image"][None], network)[0]
    labels: torch.Tensor = InvertedLabelsd("pred", preprocessing)(item)["pred"]
    return labels


def phantom(size: Sequence[int]) -> np.ndarray:
    """Return waves of values from -3 to 3 with air around."""
    waves = [np.sin(np.linspace(0, 7, n, dtype=np.float32)) for n in size]
    values = waves[0][:, None, None] + waves[1][:, None] + waves[2]
    air = [max(n // 16, 1) for n in size]
    inside = tuple(slice(n, -n) for n in air)
    image = np.zeros(tuple(size), np.float32)
    image[inside] = values[inside]
    return image


if __name__ == "__main__":
    cli(main)
