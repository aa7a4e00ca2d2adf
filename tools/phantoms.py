"""Make the demo's data: brain-like phantoms without labels, and crops of others with a two-part target to segment.

python -m tools.phantoms --output_dir demo/data
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scripts.errors import InputError

from .cli import cli
from .phantom_anatomy import CONTRASTS, make_phantom

ACCOUNT = "phantoms.json"  # written last: the settings of a complete set
LABELS = {"0": "background", "1": "Anterior", "2": "Posterior"}
UNLABELLED, LABELLED = 0, 1


def make_phantoms(
    output_dir: str, num_unlabelled: int = 16, num_labelled: int = 20, size: int = 64, seed: int = 0
) -> None:
    """Write `unlabelled/` (whole heads, several contrasts) and `labelled/` (MSD layout, T1-like crops) to a folder.

    Every case has its own random generator, drawn from the seed and its number, so that more cases leave the former
    ones as they were. The set is made beside the folder and moved there when complete; a complete one is kept.

    Args:
        output_dir: the folder to make.
        num_unlabelled: number of whole heads.
        num_labelled: number of labelled crops.
        size: edge of a head's volume in voxels of 1 mm, at least 56.
        seed: the same seed gives the same bytes.

    Raises:
        InputError: if the folder holds anything else than a set of phantoms of these settings, or a half-made one.
    """
    if size < 56:
        raise InputError(f"size {size}: a head needs at least 56 voxels of 1 mm to hold a crop of the target")
    target = Path(output_dir)
    settings = {"num_unlabelled": num_unlabelled, "num_labelled": num_labelled, "size": size, "seed": seed}
    if _is_complete(target, settings):
        print(f"phantoms: {num_unlabelled} unlabelled and {num_labelled} labelled are in {target} already")
        return
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    for folder in ("unlabelled", "labelled/imagesTr", "labelled/labelsTr"):
        (part / folder).mkdir(parents=True)
    progress = tqdm(total=num_unlabelled + num_labelled, desc="phantoms", unit="case", file=sys.stdout)
    for case in range(num_unlabelled):
        _write_unlabelled(part / "unlabelled", case, size, seed)
        progress.update()
    for case in range(num_labelled):
        _write_labelled(part / "labelled", case, size, seed)
        progress.update()
    progress.close()
    _write_json(part / "labelled" / "dataset.json", _dataset_json(num_labelled))
    _write_json(part / ACCOUNT, settings)
    if target.exists():
        shutil.rmtree(target)
    os.replace(part, target)
    print(f"phantoms: wrote {num_unlabelled} unlabelled and {num_labelled} labelled to {target}")


def _is_complete(target: Path, settings: dict[str, int]) -> bool:
    """Tell whether all of the set lies there; refuse a folder that holds something else."""
    if not target.exists() or not any(target.iterdir()):
        return False
    if not (target / ACCOUNT).exists():
        raise InputError(f"{target} exists and holds no phantoms: name another --output_dir")
    former = json.loads((target / ACCOUNT).read_text())
    if former != settings:
        raise InputError(f"{target} holds phantoms of other settings {former}: name another --output_dir or remove it")
    names = [target / "labelled" / "dataset.json"]
    names += [target / "unlabelled" / _unlabelled_name(case) for case in range(settings["num_unlabelled"])]
    for folder in ("imagesTr", "labelsTr"):
        names += [target / "labelled" / folder / _labelled_name(case) for case in range(settings["num_labelled"])]
    return all(name.exists() for name in names)


def _write_unlabelled(folder: Path, case: int, size: int, seed: int) -> None:
    """Write a whole head; the contrasts take turns."""
    rng = np.random.default_rng([seed, UNLABELLED, case])
    phantom = make_phantom(rng, size, list(CONTRASTS)[case % len(CONTRASTS)])
    centre = -(size - 1) / 2
    _save(phantom.image, (centre, centre, centre), folder / _unlabelled_name(case))


def _write_labelled(folder: Path, case: int, size: int, seed: int) -> None:
    """Write a T1-like crop around the target of one side, of the size of MSD Task04's, and its label map."""
    rng = np.random.default_rng([seed, LABELLED, case])
    phantom = make_phantom(rng, size, "T1")
    middle = np.array(phantom.centres[rng.integers(2)])
    extent = rng.integers((36, 46, 36), (45, 57, 45))
    start = np.clip(middle - extent // 2 + rng.integers(-1, 2, 3), 0, size - extent)
    crop = tuple(slice(first, first + length) for first, length in zip(start, extent, strict=True))
    label = phantom.label.copy()
    other_side = slice(size // 2, None) if middle[0] < size // 2 else slice(0, size // 2)
    label[other_side] = 0  # the crop shows one target; the other, if a corner of it is in, is not asked for
    origin = tuple(float(first) - (size - 1) / 2 for first in start)
    _save(phantom.image[crop], origin, folder / "imagesTr" / _labelled_name(case))
    _save(label[crop], origin, folder / "labelsTr" / _labelled_name(case))


def _save(array: NDArray[np.int16] | NDArray[np.uint8], origin: tuple[float, ...], path: Path) -> None:
    affine = np.eye(4)
    affine[:3, 3] = origin
    image = nib.Nifti1Image(np.ascontiguousarray(array), affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def _dataset_json(num_labelled: int) -> dict[str, object]:
    names = [_labelled_name(case) for case in range(num_labelled)]
    return {
        "name": "Phantoms",
        "description": "Generated brain-like volumes with a curved target in two parts",
        "reference": "generated",
        "licence": "CC0",
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": LABELS,
        "numTraining": num_labelled,
        "numTest": 0,
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
        "test": [],
    }


def _unlabelled_name(case: int) -> str:
    return f"phantom_{case:03d}.nii.gz"


def _labelled_name(case: int) -> str:
    return f"phantom_{case:03d}.nii.gz"


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    cli(make_phantoms)
