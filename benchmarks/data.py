"""Whether the data keep up: `python -m benchmarks.data --output data.json [--data folder] [--step_seconds 2.2]`.

Crops from the cache against reading the scan's file, and patches per second of the pretraining bundle's whole data
pipeline by number of workers. Scans are those of a folder, or generated ones.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigParser
from scipy.ndimage import gaussian_filter

from scripts.data import RandomBox, SeededDataset, find_scans, read_scan
from scripts.errors import InputError
from scripts.files import save_json, to_json
from tools.cli import cli
from tools.project import ROOT

from .pairs import against, alternate


def main(
    output: str,
    data: str = "",
    num_scans: int = 4,
    scan_size: Sequence[int] = (240, 240, 240),
    crop_sizes: Sequence[int] = (160, 96),
    workers: Sequence[int] = (0, 1, 2),
    patch_size: int = 96,
    batch_size: int = 2,
    batches: int = 8,
    step_seconds: float | None = None,
    repeats: int = 7,
    processor_time: bool = False,
) -> None:
    """Measure crops and pipeline, print and write JSON.

    Args:
        output: file to write.
        data: folder of scans; generated ones where it is not given.
        num_scans: so many of them; of generated ones two at most.
        scan_size: voxels of generated scans.
        crop_sizes: sides of the crops, in voxels; a scan's shorter sides are filled with zeros.
        workers: numbers of loading processes.
        patch_size: side of the pipeline's patches, in voxels; its crops are larger by a quarter.
        batch_size: patches per step.
        batches: counted per number of workers at least, after what workers load ahead; more for many workers.
        step_seconds: duration of a training step, to say what it needs.
        repeats: rounds that count.
        processor_time: count processor seconds for the crops, for a machine that others use.
    """
    with tempfile.TemporaryDirectory() as folder:
        scans = find_scans(data or generated(Path(folder) / "scans", min(num_scans, 2), scan_size))[:num_scans]
        for scan in scans:
            if not str(scan["image"]).lower().endswith((".nii", ".nii.gz")):
                raise InputError(f"{scan['image']} is no NIfTI file, with which crops are compared: give such")
        parser = ConfigParser(ConfigParser.load_config_file(ROOT / "bundles/spark3d_pretrain/configs/train.json"))
        parser.update({"cache_dir": f"{folder}/cache", "patch_size": [patch_size] * 3, "batch_size": batch_size})
        parser.update({"train::dataset::data": scans})
        dataset: SeededDataset = parser.get_parsed_content("train::dataset")
        dataset.prepare()
        report: dict[str, Any] = {
            "scans": [Path(scan["image"]).name for scan in scans] if data else f"{len(scans)} generated",
            "voxels": [list(nib.nifti1.load(scan["image"]).shape) for scan in scans],
            "machine": platform.machine(),
            "threads": torch.get_num_threads(),
            "repeats": repeats,
            "clock": "processor" if processor_time else "wall",
            "megabytes": {
                "files": round(sum(Path(scan["image"]).stat().st_size for scan in scans) / 1e6, 1),
                "cache": round(sum(path.stat().st_size for path in Path(folder, "cache").iterdir()) / 1e6, 1),
            },
            "crops": {size: crops(dataset, int(size), repeats, processor_time) for size in crop_sizes},
            "patches_per_second": {k: patches_per_second(parser, int(k), batches) for k in workers},
        }
    if step_seconds:
        report["patches_per_second_a_step_needs"] = round(batch_size / step_seconds, 2)
    print(to_json(report))
    save_json(report, output)


def crop(item: dict[str, Any] | None) -> torch.Tensor:
    """Return the image of a box, which is never missing where no foreground is sought."""
    assert item is not None
    image: torch.Tensor = item["image"]
    return image


def crops(dataset: SeededDataset, size: int, repeats: int, processor: bool) -> dict[str, Any]:
    """Time a random crop of every scan from the cache against reading the file, with nibabel alone and as a bundle."""
    box = RandomBox((size,) * 3)
    turn = count()

    def every(read: Callable[[int, int], torch.Tensor]) -> Callable[[], object]:
        return lambda: [read(index, next(turn)).shape for index in range(len(dataset))]

    def cached(index: int, seed: int) -> torch.Tensor:
        return crop(dataset.read(index, lambda item: box(item, seed)))

    def nibabel(index: int, seed: int) -> torch.Tensor:
        whole = np.asarray(nib.nifti1.load(dataset.data[index]["image"]).dataobj, np.float32)
        return crop(box({"image": torch.from_numpy(whole[None])}, seed))

    def monai(index: int, seed: int) -> torch.Tensor:
        return crop(box({"image": read_scan(dataset.data[index]["image"]).as_tensor()}, seed))

    runs: dict[str, Callable[[], object]] = {"cache": every(cached), "nibabel": every(nibabel), "monai": every(monai)}
    seconds = alternate(runs, repeats, "cpu", processor)
    each = {name: [value / len(dataset) for value in values] for name, values in seconds.items()}
    return {f"cache_against_{name}": against(each[name], each["cache"]) for name in ("nibabel", "monai")}


def patches_per_second(parser: ConfigParser, workers: int, batches: int) -> float:
    """Return how many augmented patches the bundle's own loader yields per second.

    Workers start together and load two batches each ahead, so as many are not counted, and several of each are.
    """
    ahead, counted = 2 * max(workers, 1), max(batches, 4 * workers)
    # so that workers are still at work when the last counted batch comes
    parser.update({"num_workers": workers, "steps_per_epoch": 2 * ahead + counted})
    parser.parse(reset=True)
    loader = iter(parser.get_parsed_content("train::dataloader"))
    for _ in range(ahead):
        next(loader)
    began = perf_counter()
    patches = sum(len(next(loader)["image"]) for _ in range(counted))
    return round(patches / (perf_counter() - began), 2)


def generated(folder: Path, number: int, size: Sequence[int]) -> str:
    """Write scans: a noisy ellipsoid in air, which compress about as heads do."""
    folder.mkdir()
    axes = np.meshgrid(
        *(np.linspace(-a, a, n, dtype=np.float32) for n, a in zip(size, (1.2, 1.1, 1.4), strict=True)), indexing="ij"
    )
    inside = np.square(axes).sum(axis=0) < 1
    for index in range(number):
        noise = np.random.default_rng(index).normal(size=inside.shape).astype(np.float32)
        values = (500 + 2000 * gaussian_filter(noise, 3) + 30 * noise) * inside
        nib.save(nib.Nifti1Image(values.astype(np.int16), np.eye(4)), folder / f"scan{index}.nii.gz")
    return str(folder)


if __name__ == "__main__":
    cli(main)
