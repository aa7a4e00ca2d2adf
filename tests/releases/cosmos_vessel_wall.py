"""COSMOS 2022 in miniature: oblique series, vessels of one or both sides, lone contours, gaps, a case without any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from tests.releases.dicom import write_series

SIZE, SPACING, ORIGIN = (32, 32, 28), (0.55, 0.55, 0.6), (-9.0, -8.0, 12.0)
ROTATION = Rotation.from_euler("xyz", (8, -5, 12), degrees=True).as_matrix()
LUMEN, WALL = 2.4, 4.3  # radii in pixels
ANNOTATED = (4, 5, 8, 11, 12, 15, 19)  # slices
WITH_GAP = (0, 1, 2, 20, 22, 25)  # 10.8 mm of nothing
ONE_SIDE, EMPTY_SIDE, LONE, GAP, SWAPPED, TEST = 2, 3, 4, 5, 90, 91  # the cases with one flaw each


def centre(side: str, index: float) -> np.ndarray:
    """Return the middle of a vessel on a slice in columns and rows: it runs aslant."""
    start, slope = {"L": ((24.2, 12.1), (-0.15, 0.2)), "R": ((7.3, 17.4), (0.1, -0.25))}[side]
    return np.array(start) + np.array(slope) * index


def volume(number: int) -> np.ndarray:
    """Draw the series (column, row, slice): bright tissue, brighter walls, dark lumens."""
    rng, pixels = np.random.default_rng(number), np.stack(np.meshgrid(*map(np.arange, SIZE[:2]), indexing="ij"), -1)
    image = np.full(SIZE, 200.0)
    for side in "LR":
        for index in range(SIZE[2]):
            far = np.linalg.norm(pixels - centre(side, index), axis=-1)
            image[:, :, index][far <= WALL] = 300
            image[:, :, index][far <= LUMEN] = 40
    return (image + rng.normal(0, 8, SIZE)).astype(np.int16)


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many labelled patients.

    Returns:
        The folder.
    """
    for number in (*range(1, num_cases + 1), SWAPPED, TEST):
        home = folder / "train_data" / str(number)
        write_series(home, volume(number), ROTATION, SPACING, ORIGIN)
        for side in "" if number == TEST else "L" if number in (ONE_SIDE, SWAPPED) else "LR":
            empty = number == EMPTY_SIDE and side == "R"
            slices = () if empty else WITH_GAP if number == GAP else ANNOTATED
            _write_vessel(home, number, side, slices)
    return folder


def _write_vessel(home: Path, number: int, side: str, slices: tuple[int, ...]) -> None:
    images, name = [], f"E{number}{side}S101"
    for index in range(SIZE[2]):
        middle = centre(side, index) - (8 if number == SWAPPED else 0)
        radii = {"Outer Wall": WALL, "Lumen": LUMEN} if index in slices else {}
        if number == LONE and index == 11:
            del radii["Lumen"]
        contours = "".join(_contour(kind, middle, radius) for kind, radius in radii.items())
        images.append(f'<QVAS_Image ImageName="E{number}S101I{index}"><ImageMode/>{contours}</QVAS_Image>')
    (home / f"{name}.QVS").write_text(f"<QVAS_Series>{''.join(images)}</QVAS_Series>")
    listed = f"<QVASSeriesFileName>C:\\review\\{name}.QVS</QVASSeriesFileName>"
    project = f"<QVAS_Project><QVAS_Loaded_Series_List>{listed}</QVAS_Loaded_Series_List></QVAS_Project>"
    (home / f"{number}{side}.QVJ").write_text(project)


def _contour(kind: str, middle: np.ndarray, radius: float) -> str:
    angles = np.linspace(0.7, 0.7 + 2 * np.pi, 73)  # the first point comes again as the last
    points = (middle + radius * np.stack([np.cos(angles), np.sin(angles)], -1)) * 512 / SIZE[0]
    if kind == "Lumen":
        points = points[::-1]
    text = "".join(f'<Point x="{x:.5f}" y="{y:.5f}"/>' for x, y in points)
    return f"<QVAS_Contour><Contour_Point>{text}</Contour_Point><ContourType>{kind}</ContourType></QVAS_Contour>"
