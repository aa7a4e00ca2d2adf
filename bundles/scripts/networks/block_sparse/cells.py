"""The visible cells of a batch: where they are and which of them touch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Shape = tuple[int, int, int]
Slices = tuple[slice, slice, slice]


class Cells:
    """Visible cells of all samples as one batch of N, ordered by sample.

    Features on cells are (N, C, d, h, w) in channels-last order.

    Args:
        mask: (B, 1, d, h, w) cells, bool, True = hidden.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        visible = ~mask[:, 0]
        self.grid: Shape = (visible.shape[1], visible.shape[2], visible.shape[3])
        self.index = visible.nonzero(as_tuple=True)
        self.num = len(self.index[0])
        # one wait for the device per forward: everything after it knows its sizes
        self.positions: list[list[int]] = torch.stack(self.index, dim=1).tolist()
        samples = [position[0] for position in self.positions]
        self.counts = [samples.count(b) for b in range(len(mask))]
        self._neighbours = self._find_neighbours()
        self._halos: dict[tuple[Shape, Shape, Shape], tuple[torch.Tensor, torch.Tensor]] = {}

    def _find_neighbours(self) -> torch.Tensor:
        """Return the numbers of the 27 cells around each cell (itself in the middle), N where hidden or outside."""
        sample, *place = self.index
        numbers = torch.full((len(self.counts), *(n + 2 for n in self.grid)), self.num, device=sample.device)
        numbers[sample, place[0] + 1, place[1] + 1, place[2] + 1] = torch.arange(self.num, device=sample.device)
        around = numbers.unfold(1, 3, 1).unfold(2, 3, 1).unfold(3, 3, 1)
        return around[self.index].reshape(self.num, 27)

    def halo(self, size: Shape, low: Shape, high: Shape) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which voxels of padded cells are copies of which voxels of visible neighbours.

        Args:
            size: voxels (d, h, w) of a cell.
            low: voxels of padding before it, per axis.
            high: voxels of padding behind it.

        Returns:
            Rows of the padded cells and the rows of the cells that they equal, counted through (N, d, h, w).
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
            source = self._neighbours[:, direction]
            copied = ((source < self.num) & (direction != 13)).flatten().nonzero()[:, 0]
            rows = (source * (size[0] * size[1] * size[2]) + within).flatten()
            self._halos[key] = (copied, rows[copied])
        return self._halos[key]

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

    def gather(self, volume: torch.Tensor, halo: Sequence[int] = (0, 0, 0)) -> torch.Tensor:
        """Cut the cells out of a volume, with a halo of whatever surrounds them, hidden or not, and zero outside.

        Args:
            volume: (B, C, D, H, W).
            halo: voxels on each side, per axis.

        Returns:
            (N, C, d, h, w), each cell wider by its halo.
        """
        volume = torch.nn.functional.pad(volume, [h for h in reversed(halo) for _ in range(2)])
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
        volume = cells.new_zeros(len(self.counts), *sides, channels)
        volume = volume + (fill.to(cells.dtype) if isinstance(fill, torch.Tensor) else fill)
        blocks = volume.permute(0, 1, 3, 5, 2, 4, 6, 7)
        blocks[self.index] = cells.permute(0, 2, 3, 4, 1)
        whole = [n * c for n, c in zip(self.grid, size, strict=True)]
        return volume.view(-1, *whole, channels).permute(0, 4, 1, 2, 3)
