"""The visible cells of a batch: where they are and which of them touch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property

import torch
from torch.nn import functional as F

Shape = tuple[int, int, int]
Slices = tuple[slice, slice, slice]

ZEROS = 2**14  # made at once


class Cells:
    """Visible cells of all samples as one batch of N, ordered by sample.

    Features on cells are (N, C, d, h, w) in channels-last order.

    Args:
        mask: (B, 1, d, h, w) cells, bool, True = hidden.

    Attributes:
        num: N.
        batch: B.
        grid: cells (d, h, w) of a sample.
        index: sample and place in the grid of each cell, four of (N,).
        places: (N, 4), the same.
        starts: (B + 1,), how many cells the samples before each have.
        numbers: (B, *grid), the number of the cell at each place, N where it is hidden.
        neighbours: (N, 27), the numbers of the cells around each, itself in the middle, N where hidden or outside.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        visible = ~mask[:, 0]
        self.grid: Shape = (visible.shape[1], visible.shape[2], visible.shape[3])
        self.index = visible.nonzero(as_tuple=True)
        self.num, self.batch = len(self.index[0]), len(mask)
        self.places = torch.stack(self.index, dim=1)
        self.starts = F.pad(visible.flatten(1).sum(dim=1).cumsum(dim=0), (1, 0))
        self.numbers = torch.full(visible.shape, self.num, device=mask.device)
        self.numbers[self.index] = torch.arange(self.num, device=mask.device)
        self.neighbours = self._find_neighbours()
        self._zeros = torch.zeros(0)
        self._halos: dict[tuple[Shape, Shape, Shape], tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}

    @cached_property
    def positions(self) -> list[list[int]]:
        """Sample and place in the grid of each cell."""
        positions: list[list[int]] = self.places.tolist()
        return positions

    @cached_property
    def counts(self) -> list[int]:
        """Cells of each sample."""
        samples = [position[0] for position in self.positions]
        return [samples.count(b) for b in range(self.batch)]

    def _find_neighbours(self) -> torch.Tensor:
        numbers = F.pad(self.numbers, [1] * 6, value=self.num)
        around = numbers.unfold(1, 3, 1).unfold(2, 3, 1).unfold(3, 3, 1)
        return around[self.index].reshape(self.num, 27)

    def halo(self, size: Shape, low: Shape, high: Shape) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return which voxels of padded cells are copies of which voxels of visible neighbours, and which are zero.

        Args:
            size: voxels (d, h, w) of a cell.
            low: voxels of padding before it, per axis.
            high: voxels of padding behind it.

        Returns:
            Rows of the padded cells, the rows of the cells that they equal, and the rows of padded cells that are zero,
            counted through (N, d, h, w).
        """
        key = (size, low, high)
        if key not in self._halos:
            device = self.index[0].device
            direction = torch.zeros((), dtype=torch.long, device=device)
            within = direction
            for n, before, behind in zip(size, low, high, strict=True):
                voxel = torch.arange(-before, n + behind, device=device)
                direction = 3 * direction[..., None] + 1 + voxel.div(n, rounding_mode="floor")
                within = n * within[..., None] + voxel % n
            direction, within = direction.flatten(), within.flatten()
            source = self.neighbours[:, direction]
            copied = ((source < self.num) & (direction != 13)).flatten().nonzero()[:, 0]
            rows = (source * (size[0] * size[1] * size[2]) + within).flatten()
            self._halos[key] = (copied, rows[copied], (source == self.num).flatten().nonzero()[:, 0])
        return self._halos[key]

    def inside(self, size: Shape, margin: int) -> torch.Tensor:
        """Return which voxels of the cells, wider by a margin on all sides, are inside the volume, (N, 1, d, h, w)."""
        inside = torch.ones((), dtype=torch.bool, device=self.places.device)
        for axis, (cells, n) in enumerate(zip(self.grid, size, strict=True), start=1):
            along = _inside(cells, n, margin, self.places.device)[self.places[:, axis]]
            inside = inside & along.view(self.num, *(along.shape[1] if axis == other else 1 for other in range(4)))
        return inside

    def windows(self, size: Shape, margin: int) -> list[tuple[int, int, Slices, Slices]]:
        """Return where each cell, wider by a margin on all sides, lies in a volume.

        Args:
            size: voxels (d, h, w) of a cell.
            margin: voxels on each side.

        Returns:
            Per cell its number, its sample, the part of the volume it covers, and the part of it that is inside.
        """
        found = []
        for number, (sample, *place) in enumerate(self.positions):
            inside, covered = [], []
            for p, cells, n in zip(place, self.grid, size, strict=True):
                start = p * n - margin
                first, last = max(0, start), min(cells * n, start + n + 2 * margin)
                covered.append(slice(first, last))
                inside.append(slice(first - start, last - start))
            found.append((number, sample, (covered[0], covered[1], covered[2]), (inside[0], inside[1], inside[2])))
        return found

    def zeros_like(self, values: torch.Tensor) -> torch.Tensor:
        """Return zeros that nothing else uses, of many made at once: on a GPU each call costs as much."""
        count = values.numel()
        if self._zeros.numel() < count or self._zeros.dtype != values.dtype:
            self._zeros = values.new_zeros(max(count, ZEROS))
        zeros, self._zeros = self._zeros[:count], self._zeros[count:]
        return zeros.view_as(values)

    def gather(self, volume: torch.Tensor, halo: Sequence[int] = (0, 0, 0)) -> torch.Tensor:
        """Cut the cells out of a volume, with a halo of whatever surrounds them, hidden or not, and zero outside.

        Args:
            volume: (B, C, D, H, W).
            halo: voxels on each side, per axis.

        Returns:
            (N, C, d, h, w), each cell wider by its halo.
        """
        # what a volume says of its place in the world is not true of cells
        volume = F.pad(volume.as_subclass(torch.Tensor), [h for h in reversed(halo) for _ in range(2)])
        for axis, (cells, h) in enumerate(zip(self.grid, halo, strict=True), start=2):
            size = (volume.shape[axis] - 2 * h) // cells
            volume = volume.unfold(axis, size + 2 * h, size)
        sample, *place = self.index
        return volume[sample, :, place[0], place[1], place[2]].contiguous(memory_format=torch.channels_last_3d)

    def scatter(self, cells: torch.Tensor, fill: torch.Tensor | float = 0.0) -> torch.Tensor:
        """Put the cells into a volume.

        Args:
            cells: (N, C, d, h, w).
            fill: value of hidden voxels, one or (C,).

        Returns:
            (B, C, D, H, W) in channels-last order.
        """
        channels, size = cells.shape[1], cells.shape[2:]
        sides = [side for pair in zip(self.grid, size, strict=True) for side in pair]
        value = fill.to(cells.dtype) if isinstance(fill, torch.Tensor) else cells.new_full((), fill)
        volume = value.expand(self.batch, *sides, channels).clone(memory_format=torch.contiguous_format)
        blocks = volume.permute(0, 1, 3, 5, 2, 4, 6, 7)
        blocks[self.index] = cells.permute(0, 2, 3, 4, 1)
        whole = [n * c for n, c in zip(self.grid, size, strict=True)]
        return volume.view(-1, *whole, channels).permute(0, 4, 1, 2, 3)


@cache
def _inside(cells: int, size: int, margin: int, device: torch.device) -> torch.Tensor:
    """Return which voxels of each place along an axis, wider by a margin, are inside, (cells, size + 2 margin)."""
    voxel = size * torch.arange(cells, device=device)[:, None] + torch.arange(-margin, size + margin, device=device)
    return (voxel >= 0) & (voxel < cells * size)
