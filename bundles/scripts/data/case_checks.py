"""Whether the image and the label of one case fit together."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from monai.data import MetaTensor

from ..geometry import corner_shift, is_one_grid

MAX_SKEW = 1e-2  # cosine; headers are rounded


def label_problems(label: MetaTensor, allowed: dict[str, int]) -> Iterator[str]:
    """Yield that a label has other values than these, if so.

    Args:
        label: as `read_scan` returns it.
        allowed: values by name.
    """
    voxels = label.as_tensor()
    odd = voxels[~torch.isin(voxels, torch.tensor(sorted(allowed.values()), dtype=voxels.dtype))]
    if not len(odd):
        return
    value = float(odd[0])
    if value.is_integer():
        yield f"the label has the value {value:g}, allowed are {allowed}: correct the label, or give other --labels"
    else:
        yield f"the label has the value {value:g}, which is not a whole number: resample labels by nearest neighbour"


def grid_problems(image: MetaTensor, label: MetaTensor) -> Iterator[str]:
    """Yield that image and label lie on other voxel grids, by shape or by where their corners lie, if so."""
    sizes = [tuple(scan.shape[1:]) for scan in (image, label)]
    if sizes[0] != sizes[1]:
        yield f"the image has {sizes[0]} voxels, the label {sizes[1]}: both must lie on one grid, resample the label"
        return
    affines = image.affine.numpy(), label.affine.numpy()
    if not is_one_grid(*affines, sizes[0]):
        shift = corner_shift(*affines, sizes[0])
        yield f"the label lies {shift:.2f} mm beside the image: give both the same affine, or resample the label"


def oblique_problems(kind: str, scan: MetaTensor) -> Iterator[str]:
    """Yield that the voxel axes of a scan are not at right angles to each other, if so.

    Args:
        kind: what to call it, "image" or "label".
        scan: as `read_scan` returns it.
    """
    axes = scan.affine[:3, :3].double()
    axes = axes / axes.norm(dim=0)
    skew = float((axes.T @ axes - torch.eye(3).to(axes)).abs().max())
    if not skew <= MAX_SKEW:  # negated, so that a NaN in the header fails as well
        yield (
            f"the voxel axes of the {kind} are not at right angles (cosine {skew:.3f}), as of a tilted gantry: "
            "resample it to a grid with an orthonormal affine"
        )
