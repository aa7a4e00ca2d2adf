"""A head given by formulas, so that it can be drawn on any grid, as CT or MR, with 30 balls for its organs."""

from __future__ import annotations

from itertools import product

import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

RADIUS = 5.5  # mm, of an organ
CENTRES = np.array([(12.5 * x, 15.0 * y, 26.0 * z) for x, y, z in product((-1.5, -0.5, 0.5, 1.5), repeat=3)])
CENTRES = CENTRES[np.abs(CENTRES[:, 2]) < 20][:30]
ORGANS = [(centre, (RADIUS,) * 3) for centre in CENTRES]
BRIGHTNESS = {  # outside, skin, bone, brain, fluid
    "CT": (-1000.0, 40.0, 900.0, 60.0, -300.0),
    "MR": (0.0, 220.0, 20.0, 160.0, 330.0),
}


def points(shape, affine):
    """Return the places of all voxels (..., 3) in mm."""
    return nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))


def inside(places, centre, radii):
    """Return how far places lie in an ellipsoid, 1 within and 0 beyond, with a blurred border."""
    far = np.linalg.norm((places - np.asarray(centre)) / np.asarray(radii), axis=-1)
    return 1 / (1 + np.exp(np.clip(2 * (far - 1) * min(radii), -30, 30)))


def head(places, kind, seed=0):
    """Return the brightness at places (..., 3) in mm of the head's own space."""
    outside, skin, bone, brain, fluid = BRIGHTNESS[kind]
    parts = [((0, 0, 0), (31, 39, 35), skin), ((0, 0, 0), (28, 35, 31), bone), ((0, 0, 0), (24, 31, 27), brain)]
    parts += [((8, 10, 5), (7, 9, 6), fluid), ((-10, -8, -8), (5, 7, 9), bone), ((-6, 14, 12), (4, 5, 4), fluid)]
    parts += [((0, -6, -42), (11, 11, 22), skin), ((0, -6, -42), (4, 4, 22), bone)]
    image = np.full(places.shape[:-1], outside)
    for centre, radii, level in parts:
        share = inside(places, centre, radii)
        image = image * (1 - share) + level * share
    return (image + np.random.default_rng(seed).normal(0, 8, image.shape)).astype(np.float32)


def motion(degrees, shift):
    """Return the matrix (4, 4) that turns about three axes, then shifts."""
    return nib.affines.from_matvec(Rotation.from_euler("xyz", degrees, degrees=True).as_matrix(), shift)
