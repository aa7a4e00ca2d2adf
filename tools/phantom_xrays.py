"""Make X-ray-like images with findings in the layout of the ChestX-ray14 release, for tests and trials.

python -m tools.phantom_xrays --output_dir xrays
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scripts.data.xray_findings import FINDINGS, NO_FINDING
from scripts.errors import InputError
from scripts.files import save_csv

from .cli import cli

KINDS = ("L", "RGB", "RGBA", "I;16")  # the release has a few RGBA; the others are what users bring
IMAGES_PER_FOLDER = 20
TEST_SHARE = 0.25


class Sign(NamedTuple):
    """How a finding shows: a soft spot at (y, x) of (height, width), in shares of the image, brighter or darker."""

    centre: tuple[float, float]
    radii: tuple[float, float]
    brightness: float


SIGNS = {
    "Atelectasis": Sign((0.68, 0.30), (0.04, 0.12), 0.35),
    "Cardiomegaly": Sign((0.62, 0.55), (0.16, 0.22), 0.30),
    "Effusion": Sign((0.80, 0.28), (0.10, 0.14), 0.45),
    "Infiltration": Sign((0.50, 0.70), (0.14, 0.10), 0.20),
    "Mass": Sign((0.35, 0.30), (0.08, 0.08), 0.45),
    "Nodule": Sign((0.32, 0.70), (0.04, 0.04), 0.50),
    "Pneumonia": Sign((0.62, 0.72), (0.10, 0.09), 0.40),
    "Pneumothorax": Sign((0.22, 0.28), (0.08, 0.10), -0.35),
    "Consolidation": Sign((0.45, 0.28), (0.10, 0.08), 0.35),
    "Edema": Sign((0.48, 0.50), (0.10, 0.35), 0.20),
    "Emphysema": Sign((0.45, 0.72), (0.28, 0.12), -0.20),
    "Fibrosis": Sign((0.24, 0.68), (0.06, 0.10), 0.30),
    "Pleural_Thickening": Sign((0.45, 0.16), (0.25, 0.02), 0.40),
    "Hernia": Sign((0.82, 0.50), (0.07, 0.08), -0.30),
}


def make_xrays(output_dir: str, num_patients: int = 24, size: int = 64, seed: int = 0) -> None:
    """Write images of all kinds in folders, the table and the two official lists, as the release has them.

    Args:
        output_dir: the folder to make.
        num_patients: each has one to three images; a quarter of the patients is on the test list.
        size: edge of the images in pixels.
        seed: the same seed gives the same images.

    Raises:
        InputError: if the folder exists and holds something, or there are too few patients for every part.
    """
    folder = Path(output_dir)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty: name another --output_dir")
    if num_patients < 4:
        raise InputError(f"num_patients is {num_patients}: give at least 4, to train, validate and test")
    rows: list[dict[str, object]] = []
    lists: dict[str, list[str]] = {"train_val_list.txt": [], "test_list.txt": []}
    for patient in range(1, num_patients + 1):
        rng = np.random.default_rng([seed, patient])
        tested = patient > num_patients * (1 - TEST_SHARE)
        for follow_up in range(int(rng.integers(1, 4))):
            name = f"{patient:08d}_{follow_up:03d}.png"
            findings = [finding for finding in FINDINGS if rng.random() < 0.25]
            part = folder / f"images_{1 + len(rows) // IMAGES_PER_FOLDER:03d}" / "images"
            part.mkdir(parents=True, exist_ok=True)
            save_kind(make_xray(findings, size, rng), KINDS[len(rows) % len(KINDS)], part / name)
            label = "|".join(findings) or NO_FINDING
            rows.append({"Image Index": name, "Finding Labels": label, "Follow-up #": follow_up, "Patient ID": patient})
            lists["test_list.txt" if tested else "train_val_list.txt"].append(name)
    save_csv(rows, folder / "Data_Entry_2017.csv")
    for name, images in lists.items():
        (folder / name).write_text("\n".join(images) + "\n")
    print(f"X-rays: wrote {len(rows)} images of {num_patients} patients to {folder}")


def make_xray(findings: list[str], size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a chest with two lungs, a heart and ribs, and its findings' signs.

    Args:
        findings: names of `SIGNS`.
        size: edge in pixels.
        rng: of the anatomy, the noise and where exactly the signs lie.

    Returns:
        (size, size) from 0 to 1.
    """
    y, x = np.mgrid[:size, :size] / size
    shift = rng.normal(0, 0.015, 2)

    def spot(sign: Sign, jitter: float = 0.02) -> NDArray[np.float64]:
        cy, cx = np.array(sign.centre) + shift + rng.normal(0, jitter, 2)
        distance = ((y - cy) / sign.radii[0]) ** 2 + ((x - cx) / sign.radii[1]) ** 2
        return sign.brightness / 2 * (1 - np.tanh(3 * (distance - 1)))

    chest = 0.65 * np.ones((size, size))
    for centre in ((0.5, 0.3), (0.5, 0.7)):
        chest += spot(Sign(centre, (0.32, 0.15), -0.45), 0.01)
    chest += spot(Sign((0.62, 0.53), (0.14, 0.12), 0.30), 0.01) + 0.04 * np.sin(60 * y + 6 * np.abs(x - 0.5))
    for finding in findings:
        chest += spot(SIGNS[finding])
    noisy: NDArray[np.float64] = np.clip(chest + rng.normal(0, 0.02, chest.shape), 0, 1)
    return noisy


def save_kind(image: NDArray[np.float64], kind: str, path: Path) -> None:
    """Write an image (H, W) from 0 to 1 as a PNG of one of `KINDS`."""
    if kind == "I;16":
        Image.fromarray((65535 * image).astype(np.uint16)).save(path)
    else:
        Image.fromarray((255 * image).astype(np.uint8)).convert(kind).save(path)


if __name__ == "__main__":
    cli(make_xrays)
