"""Contours of a vessel as the program CASCADE saves them: a project (.QVJ) that names the contours of a series (.QVS).

Both are XML. A QVS has one `QVAS_Image` for each slice, in the order of the slices' places; in it a `QVAS_Contour` for
each contour, with a `ContourType` of `Lumen` or `Outer Wall` and `Contour_Point/Point` whose x and y (columns and rows)
count a slice as 512 x 512, whatever its size. So the readers that COSMOS 2022 gave its participants have it.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from scripts.errors import InputError

from .contours import even_contour

FRAME = 512
LUMEN, OUTER_WALL = "Lumen", "Outer Wall"


def read_vessel(project: Path) -> dict[int, dict[str, np.ndarray]]:
    """Read the contours of one vessel.

    Args:
        project: .QVJ, with the .QVS that it names beside it.

    Returns:
        Slice, counted from 0, to contour type to points (N, 2) of a frame of 512 x 512; slices without contours are
        left out. Of several contours of a type the first counts, as in the challenge.

    Raises:
        InputError: a file is missing or not as described above.
    """
    named = _parse(project).findtext("{*}QVAS_Loaded_Series_List/{*}QVASSeriesFileName")
    if not named:
        raise InputError(f"{project.name} names no file of contours (QVASSeriesFileName)")
    series = project.parent / re.split(r"[/\\]", named.strip())[-1]
    slices = {}
    for index, image in enumerate(_parse(series).findall("{*}QVAS_Image")):
        contours: dict[str, np.ndarray] = {}
        for contour in image.findall("{*}QVAS_Contour"):
            kind, points = (contour.findtext("{*}ContourType") or "").strip(), _points(contour, series)
            if len(points) >= 3 and kind in (LUMEN, OUTER_WALL) and kind not in contours:
                contours[kind] = even_contour(points)
        if contours:
            slices[index] = contours
    return slices


def _parse(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except FileNotFoundError as error:
        raise InputError(f"{path.name} is missing: unpack the release again") from error
    except (OSError, ElementTree.ParseError) as error:
        raise InputError(f"{path.name} cannot be read ({error}): unpack the release again") from error


def _points(contour: ElementTree.Element, series: Path) -> np.ndarray:
    """Return the points of a contour in order, none twice in a row."""
    try:
        found = [(float(p.attrib["x"]), float(p.attrib["y"])) for p in contour.findall("{*}Contour_Point/{*}Point")]
    except (KeyError, ValueError) as error:
        raise InputError(f"{series.name} has a point that is no pair of numbers") from error
    points = np.array(found).reshape(-1, 2)
    return points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
