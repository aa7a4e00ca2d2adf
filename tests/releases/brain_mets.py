"""BrainMetShare in miniature: slices named without leading zeros, a patient of the test part, `._*` files, a gap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.releases.volumes import draw_image, draw_label

GAP = 900  # the case that lacks a slice


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many labelled patients.

    Returns:
        The folder.
    """
    home = folder / "stanford_release_brainmask"
    for number in range(1, num_cases + 1):
        _write_patient(home / "mets_stanford_releaseMask_train" / f"Mets_{number:03d}", number)
    spoiled = home / "mets_stanford_releaseMask_train" / f"Mets_{GAP}"
    _write_patient(spoiled, GAP)
    (spoiled / "2" / "11.png").unlink()
    _write_patient(home / "mets_stanford_releaseMask_test" / "Mets_500", 500, labelled=False)
    return folder


def volumes(number: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Draw the four contrasts and the mask of a patient, (x, y, z) of 8 bits."""
    rng = np.random.default_rng(number)
    label = draw_label(rng, (1,))
    return [draw_image(rng, label).clip(0, 255).astype(np.uint8) for _ in range(4)], label


def _write_patient(folder: Path, number: int, labelled: bool = True) -> None:
    images, label = volumes(number)
    stacks = dict(zip("0123", images, strict=True)) | ({"seg": label * np.uint8(255)} if labelled else {})
    for role, stack in stacks.items():
        (folder / role).mkdir(parents=True)
        (folder / role / "._3.png").write_bytes(b"macOS")
        for index in range(stack.shape[2]):
            Image.fromarray(np.ascontiguousarray(stack[:, :, index].T)).save(folder / role / f"{index}.png")
