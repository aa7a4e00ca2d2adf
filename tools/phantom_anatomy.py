"""One brain-like phantom: smooth shapes in millimetres, painted one over the other with soft edges, then imaged.

The anatomy imitates what makes real brains hard, not what makes them healthy: a folded grey ribbon, grey structures
of one intensity lying side by side, shapes that differ from head to head, and a scanner that adds bias and noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from scipy.spatial.transform import Rotation

Volume = NDArray[np.float32]

# Relative intensity per tissue; "deep" are the nuclei, "target" is the hippocampus-like structure.
CONTRASTS: dict[str, dict[str, float]] = {
    "T1": {"scalp": 0.75, "skull": 0.12, "csf": 0.20, "grey": 0.58, "white": 0.88, "deep": 0.66, "target": 0.60},
    "T2": {"scalp": 0.60, "skull": 0.10, "csf": 1.00, "grey": 0.62, "white": 0.42, "deep": 0.54, "target": 0.64},
    "FLAIR": {"scalp": 0.65, "skull": 0.10, "csf": 0.14, "grey": 0.74, "white": 0.56, "deep": 0.68, "target": 0.78},
}
ANTERIOR, POSTERIOR = 1, 2
HEAD_MM = 64.0


@dataclass(frozen=True)
class Phantom:
    """An image of a head with the target's label map and where the target of each side lies.

    Attributes:
        image: (X, Y, Z) int16, axes to the right, to the front and upwards, 1 mm voxels.
        label: (X, Y, Z) uint8, 0 background, 1 anterior, 2 posterior part of the target, both sides.
        centres: middle voxel of the box around the left and of that around the right target.
    """

    image: NDArray[np.int16]
    label: NDArray[np.uint8]
    centres: tuple[tuple[int, int, int], tuple[int, int, int]]


def make_phantom(rng: np.random.Generator, size: int, contrast: str) -> Phantom:
    """Draw one head and image it.

    Args:
        rng: the case's own random generator.
        size: edge of the volume in voxels of 1 mm; the head grows with it.
        contrast: a key of `CONTRASTS`.

    Returns:
        The phantom; all randomness comes from `rng`.
    """
    grid = _warped_grid(rng, size)
    shapes, sides = _anatomy(rng, grid)
    ideal = _paint(rng, shapes, CONTRASTS[contrast])
    label = np.zeros((size,) * 3, np.uint8)
    centres = []
    for distance, front in sides:
        inside = distance < 0
        label[inside & front] = ANTERIOR
        label[inside & ~front] = POSTERIOR
        x, y, z = (int(axis.min() + axis.max()) // 2 for axis in np.nonzero(inside))
        centres.append((x, y, z))
    return Phantom(_scan(rng, ideal), label, (centres[0], centres[1]))


def smooth_field(rng: np.random.Generator, size: int, width: float) -> Volume:
    """Return a random field that varies over about `width` voxels, with mean 0 and standard deviation 1: (X, Y, Z)."""
    step = max(1, int(width / 3))  # drawn on a coarse grid, as wide fields need no fine one
    coarse = int(np.ceil(size / step)) + 1
    field = gaussian_filter(rng.standard_normal((coarse,) * 3), width / step, mode="wrap")
    field = zoom(field, step, order=1)[:size, :size, :size] if step > 1 else field[:size, :size, :size]
    return ((field - field.mean()) / field.std()).astype(np.float32)


def _warped_grid(rng: np.random.Generator, size: int) -> Volume:
    """Return where each voxel lies in the model head, in its mm: (3, X, Y, Z), centre at 0."""
    axis = np.arange(size, dtype=np.float32) - (size - 1) / 2
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")) * (HEAD_MM / size)
    turn = Rotation.from_euler("xyz", rng.uniform(-8, 8, 3), degrees=True).as_matrix().astype(np.float32)
    grid = np.einsum("ij,jxyz->ixyz", turn, grid - rng.uniform(-1.5, 1.5, (3, 1, 1, 1)).astype(np.float32))
    grid *= rng.uniform(0.94, 1.06, (3, 1, 1, 1)).astype(np.float32)
    bend = np.stack([smooth_field(rng, size, size / 6) for _ in range(3)])
    return (grid + rng.uniform(0.6, 1.2) * bend).astype(np.float32)


def _ellipsoid(grid: Volume, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Volume:
    """Signed distance in mm, to first order, from an ellipsoid's surface; negative inside: (X, Y, Z)."""
    offset = (grid - np.reshape(np.array(centre, np.float32), (3, 1, 1, 1))) / np.reshape(
        np.array(radii, np.float32), (3, 1, 1, 1)
    )
    radius = np.sqrt((offset**2).sum(0)) + 1e-6
    return (radius - 1) * float(min(radii)) ** 0.5 * float(np.mean(radii)) ** 0.5


def _folds(rng: np.random.Generator, size: int, width: float) -> Volume:
    """Distance in mm from the sheets on which a random field is zero; they wind about like sulci: (X, Y, Z)."""
    field = smooth_field(rng, size, width)
    steepness = np.sqrt(sum(slope**2 for slope in np.gradient(field)))
    return (np.abs(field) / (steepness + 0.05) * (HEAD_MM / size)).astype(np.float32)


def _tube(grid: Volume, curve: Volume, radii: Volume) -> tuple[Volume, NDArray[np.intp]]:
    """Signed distance from a tube around `curve` (N, 3) of `radii` (N,) mm, and the nearest curve point: (X, Y, Z)."""
    distance = np.full(grid.shape[1:], np.inf, np.float32)
    nearest = np.zeros(grid.shape[1:], np.intp)
    for index, (point, radius) in enumerate(zip(curve, radii, strict=True)):
        here = np.sqrt(((grid - point.reshape(3, 1, 1, 1)) ** 2).sum(0)) - radius
        closer = here < distance
        distance[closer], nearest[closer] = here[closer], index
    return distance, nearest


def _target(rng: np.random.Generator, grid: Volume, side: int) -> tuple[Volume, NDArray[np.bool_], Volume]:
    """Draw the curved target of one side (-1 left, 1 right).

    Returns:
        Its signed distance in mm, where the anterior part would be, and the signed distance of the fluid above it.
    """
    along = np.linspace(0, 1, 24, dtype=np.float32)  # 0 at the front
    length, bend, rise = rng.uniform(21, 29), rng.uniform(1.5, 4.5), rng.uniform(3, 7)
    x = side * (13.0 + rng.uniform(-1, 1) + bend * np.sin(np.pi * along) - 5 * along**2)
    y = 9.0 + rng.uniform(-1.5, 1.5) - length * along
    z = -8.5 + rng.uniform(-1, 1) + rise * along**2 - 2.0 * np.exp(-((along - 0.1) ** 2) / 0.02)
    curve = np.stack([x, y, z], 1).astype(np.float32)
    radii = rng.uniform(3.8, 4.8) * (0.78 + 0.32 * np.exp(-((along - 0.12) ** 2) / 0.035) - 0.25 * along**3)
    distance, nearest = _tube(grid, curve, radii.astype(np.float32))
    horn = curve + np.array([side * 2.2, 0, 2.4], np.float32)
    fluid, _ = _tube(grid, horn, (0.75 * radii * rng.uniform(0.8, 1.15)).astype(np.float32))
    return distance, along[nearest] < rng.uniform(0.32, 0.46), fluid


def _anatomy(
    rng: np.random.Generator, grid: Volume
) -> tuple[list[tuple[str, Volume]], list[tuple[Volume, NDArray[np.bool_]]]]:
    """Return the shapes as (tissue, signed distance in mm) in the order of painting, and the targets of both sides."""
    size = grid.shape[1]
    x, y, z = grid
    brain = _ellipsoid(grid, (0, 0, 2), (23.5, 26.0, 22.5)) + 0.6 * smooth_field(rng, size, size / 10)
    depth = -brain
    fold = _folds(rng, size, size / 22)
    fold = np.minimum(fold, np.where(z > -2, np.abs(x), 9) + 0.2)  # the fissure between the hemispheres
    reach = depth - rng.uniform(7.0, 9.0)  # how deep the sulci go, in mm
    ribbon = rng.uniform(1.9, 2.5)  # thickness of the cortex in mm
    cortex = np.minimum(np.maximum(fold - 0.6 - ribbon, reach), depth - ribbon - 0.3)
    sulci = np.maximum(fold - rng.uniform(0.45, 0.8), reach + ribbon)
    shapes = [
        ("scalp", brain - 4.6),
        ("skull", brain - 3.0),
        ("csf", brain - 1.1),
        ("white", brain),
        ("grey", np.maximum(cortex, brain)),
        ("csf", np.maximum(sulci, brain)),
    ]
    core = _ellipsoid(grid, (0, -2, -1), (15.0, 17.0, 12.0))
    shapes.append(("white", core))
    stem = np.maximum(_ellipsoid(grid, (0, -4, -16), (4.6, 5.0, 13.0)), brain - 0.5)
    cerebellum = _ellipsoid(grid, (0, -14.5, -13.5), (14.5, 9.0, 7.5))
    leaves = np.abs(((z + 0.5 * y + 0.03 * x**2 + 0.8 * smooth_field(rng, size, size / 12)) % 3.0) - 1.5) - 0.9
    shapes += [
        ("csf", cerebellum - 1.2),
        ("white", cerebellum),
        ("grey", np.maximum(cerebellum, np.maximum(leaves, -cerebellum - 5.5))),
        ("white", stem),
    ]
    width = rng.uniform(1.6, 3.2)
    sides = []
    for side in (-1, 1):
        front, back = np.array([side * 3.6, 11, 6], np.float32), np.array([side * 6.5, -12, 7], np.float32)
        along = np.linspace(0, 1, 12, dtype=np.float32)[:, None]
        arch = front * (1 - along) + back * along + np.array([0, 0, 3.5], np.float32) * np.sin(np.pi * along)
        ventricle, _ = _tube(grid, arch, (width * (1 + 0.25 * np.cos(6 * along[:, 0]))).astype(np.float32))
        sway = rng.uniform(-0.8, 0.8, (3, 3))
        shapes += [
            ("deep", _ellipsoid(grid, (side * 5.5 + sway[0, 0], -3 + sway[0, 1], 2), (4.0, 6.0, 4.2))),
            ("deep", _ellipsoid(grid, (side * 7.5 + sway[1, 0], 10 + sway[1, 1], 5), (2.6, 4.6, 4.0))),
            ("deep", _ellipsoid(grid, (side * 13 + sway[2, 0], 5 + sway[2, 1], 2), (2.8, 6.8, 4.4))),
            ("csf", ventricle),
        ]
        distance, is_front, fluid = _target(rng, grid, side)
        neighbour = _ellipsoid(grid, (side * 12.5, 14 + rng.uniform(-1, 1), -7 + rng.uniform(-1, 1)), (4.0, 3.4, 3.6))
        shapes += [
            ("csf", fluid),
            ("grey", neighbour),  # amygdala-like: as grey as the target, and it touches
            ("white", np.maximum(distance - 1.1, -fluid)),
            ("target", distance),
        ]
        sides.append((distance, is_front))
    shapes.append(("csf", np.maximum(np.abs(x) - 0.9, _ellipsoid(grid, (0, -2, 0), (3.0, 6.0, 5.0)))))
    return shapes, sides


def _paint(rng: np.random.Generator, shapes: list[tuple[str, Volume]], table: dict[str, float]) -> Volume:
    """Paint the shapes in order, with edges half a voxel soft, in the contrast's intensities varied a little."""
    level = {tissue: value * rng.uniform(0.94, 1.06) for tissue, value in table.items()}
    level["target"] = level["grey"] * (table["target"] / table["grey"]) * rng.uniform(0.97, 1.03)
    image = np.zeros_like(shapes[0][1])
    for tissue, distance in shapes:
        cover = 1 / (1 + np.exp(np.clip(distance / 0.3, -30, 30)))
        image += cover * (level[tissue] - image)
    return image


def _scan(rng: np.random.Generator, ideal: Volume) -> NDArray[np.int16]:
    """Image the ideal head: texture, blur, bias field, Rician noise, an arbitrary scale."""
    size = ideal.shape[0]
    texture = 1 + 0.02 * smooth_field(rng, size, 2)
    bias = np.exp(rng.uniform(0.08, 0.2) * smooth_field(rng, size, size / 3))
    clean = gaussian_filter(ideal * texture, rng.uniform(0.35, 0.6)) * bias
    sigma = rng.uniform(0.02, 0.04)
    noisy = np.hypot(clean + sigma * rng.standard_normal(ideal.shape), sigma * rng.standard_normal(ideal.shape))
    return np.clip(noisy * rng.uniform(1400, 2200), 0, np.iinfo(np.int16).max).astype(np.int16)
