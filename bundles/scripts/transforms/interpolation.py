"""Linear interpolation by hand: where the voxels of another grid lie, and the eight voxels around each place."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch

CORNERS = tuple(itertools.product((0, 1), repeat=3))
SLAB = 2**17  # voxels, of which each takes a few hundred bytes while it is looked up


def places(source: torch.Tensor, target: torch.Tensor, size: Sequence[int]) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield where the voxels of one grid lie in another, slab by slab, so that memory does not grow with the grid.

    Args:
        source: affine (4, 4) of the grid to count in.
        target: affine (4, 4) of the grid whose voxels are looked for.
        size: voxels of that grid.

    Yields:
        The slab along its first axis, and the places (3, d, h, w) in voxels from the middle of the source's first one,
        rounded so that half-way between two voxels is half-way.
    """
    ratio = torch.linalg.inv(source.cpu().double()) @ target.cpu().double()
    step = max(1, SLAB // (size[1] * size[2]))
    for start in range(0, size[0], step):
        part = slice(start, min(start + step, size[0]))
        axes = [torch.arange(part.start, part.stop), torch.arange(size[1]), torch.arange(size[2])]
        voxels = torch.stack(torch.meshgrid([axis.double() for axis in axes], indexing="ij"))
        place = torch.einsum("ij,jdhw->idhw", ratio[:3, :3], voxels) + ratio[:3, 3].view(3, 1, 1, 1)
        yield part, place.round(decimals=6)


def neighbours(place: torch.Tensor, size: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the eight voxels around places; outside are those at the border.

    Args:
        place: (3, ...) in voxels from the middle of the first one.
        size: voxels of the grid.

    Returns:
        Their numbers (8, n) in the flattened grid, and how far each place is from the first of them (3, n).
    """
    inside = clamped(place, size)
    low = inside.long()
    last = torch.tensor(size, device=place.device).unsqueeze(1) - 1
    ends = (low, torch.minimum(low + 1, last))
    index = torch.stack([(ends[i][0] * size[1] + ends[j][1]) * size[2] + ends[k][2] for i, j, k in CORNERS])
    return index, inside - low


def clamped(place: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Return places (3, ...) as (3, n), those outside of a grid of so many voxels at its border."""
    last = torch.tensor(size, device=place.device).unsqueeze(1) - 1
    return torch.minimum(place.flatten(1).clamp(min=0), last)


def weights(part: torch.Tensor) -> torch.Tensor:
    """Return the weights (8, n) of the eight voxels around places that are `part` (3, n) from the first of them."""
    halves = torch.stack([1 - part, part])
    return torch.stack([halves[i, 0] * halves[j, 1] * halves[k, 2] for i, j, k in CORNERS])
