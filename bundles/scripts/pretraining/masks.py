"""Masks over cells of voxels: True = hidden, everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..errors import InputError
from ..geometry import is_multiple, nearest_multiple


def checked_cell_size(cell_size: int | Sequence[int]) -> tuple[int, int, int]:
    """Return voxels per side of a cell along the three axes, of which one number means all.

    Raises:
        InputError: if they are not three whole numbers above zero.
    """
    sides = [cell_size] * 3 if isinstance(cell_size, int) else cell_size
    match sides:
        case [int() as depth, int() as height, int() as width] if min(depth, height, width) > 0:
            return depth, height, width
    raise InputError(f"cell_size is {cell_size!r}; give voxels per axis such as [32, 32, 32], or one number for all")


def cell_grid(size: Sequence[int], cell_size: Sequence[int]) -> tuple[int, ...]:
    """Return how many cells cover a patch of `size` voxels per axis.

    Raises:
        InputError: if the cells do not tile the patch.
    """
    if not is_multiple(size, cell_size):
        raise InputError(
            f"patch_size {list(size)} is not divisible by the mask's cells of {list(cell_size)} voxels: choose "
            f"multiples, for example {nearest_multiple(size, cell_size)}"
        )
    return tuple(n // c for n, c in zip(size, cell_size, strict=True))


def num_hidden(num_cells: int, mask_ratio: float) -> int:
    """Return how many of `num_cells` a ratio hides: truncated as in the reference, but at least one and not all."""
    return min(max(int(mask_ratio * num_cells), 1), num_cells - 1)


def draw_mask_ratio(mask_ratio: float | Sequence[float], rng: np.random.Generator) -> float:
    """Return the ratio itself, or draw one uniformly from a range (S3D: U[0.6, 0.9], Tab. 2b)."""
    match mask_ratio:
        case int() | float():
            low = high = mask_ratio
        case [int() | float() as low, int() | float() as high]:
            pass
        case _:
            low, high = 1.0, 0.0
    if not 0 < low <= high < 1:
        raise InputError(f"mask_ratio is {mask_ratio}; give a number between 0 and 1, or a range such as [0.6, 0.9]")
    return float(low) if low == high else float(rng.uniform(low, high))


def draw_mask(grid: Sequence[int], mask_ratio: float, rng: np.random.Generator) -> torch.Tensor:
    """Hide cells drawn uniformly without replacement.

    Args:
        grid: cells per axis.
        mask_ratio: share of hidden cells.
        rng: source of randomness.

    Returns:
        (1, *grid), bool, True = hidden.
    """
    num_cells = int(np.prod(grid))
    if num_cells < 2:
        raise InputError(f"a grid of {list(grid)} cells leaves nothing to mask: enlarge patch_size or shrink cell_size")
    mask = np.zeros(num_cells, dtype=bool)
    mask[rng.choice(num_cells, num_hidden(num_cells, mask_ratio), replace=False)] = True
    return torch.from_numpy(mask.reshape(1, *grid))


def expand_mask(mask: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Repeat each cell over the voxels it covers.

    Args:
        mask: (B, 1, *grid) cells.
        size: voxels per axis, multiples of the grid.

    Returns:
        (B, 1, *size), bool.
    """
    for axis, n in enumerate(size, start=2):
        mask = mask.repeat_interleave(n // mask.shape[axis], dim=axis)
    return mask


def checked_mask(mask: torch.Tensor | None, image: torch.Tensor, cell_size: Sequence[int]) -> torch.Tensor:
    """Return the mask of an image, which has to have its cells.

    Args:
        mask: (B, 1, *grid), bool, True = hidden; None hides nothing.
        image: (B, C, *size).
        cell_size: voxels per axis.

    Raises:
        InputError: if the mask is no mask of these images' cells, or these do not tile the images.
    """
    size = image.shape[2:]
    grid = cell_grid(size, cell_size)
    if mask is None:
        return torch.zeros(len(image), 1, *grid, dtype=torch.bool, device=image.device)
    if mask.dtype != torch.bool or tuple(mask.shape) != (len(image), 1, *grid):
        raise InputError(
            f"the mask is {mask.dtype} of {list(mask.shape)}: {len(image)} patches of {list(size)} voxels take a "
            f"torch.bool one of {[len(image), 1, *grid]}, True = hidden"
        )
    return mask


def visible_cells(mask: torch.Tensor) -> torch.Tensor:
    """Return the numbers (B, k) of the visible cells of a mask (B, 1, *grid), ascending, in C order of the grid.

    Raises:
        InputError: if the samples show different numbers of cells.
    """
    shown = ~mask.flatten(1)
    counts = set(shown.sum(dim=1).tolist())
    if len(counts) > 1:
        raise InputError(
            f"the masks of a batch show between {min(counts)} and {max(counts)} cells: hide equally many in each "
            "sample (see scripts.pretraining.DrawMasks)"
        )
    return shown.nonzero()[:, 1].view(len(mask), -1)
