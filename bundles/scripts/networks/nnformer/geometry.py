"""Which patches a stack of strides and windows can take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import InputError

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Geometry:
    """Sizes of the token grids from the image down to the bottleneck.

    Args:
        stem_strides: of the two strided convolutions of the stem.
        windows: tokens of an attention window per stage.
        down_strides: 1 or 2 per axis, between the stages.
        down_paddings: of the convolutions between the stages: 1, but 0 where the kernel is 1 (stride 1) and where the
            finer grid is odd.
    """

    stem_strides: tuple[Triple, Triple]
    windows: tuple[Triple, ...]
    down_strides: tuple[Triple, ...]
    down_paddings: tuple[Triple, ...]

    @classmethod
    def of(
        cls,
        stem_strides: Sequence[int | Sequence[int]],
        windows: Sequence[int | Sequence[int]],
        down_strides: Sequence[int | Sequence[int]],
        down_paddings: Sequence[int | Sequence[int]] | None,
    ) -> Geometry:
        """Read what a config holds, numbers or triples of them.

        Raises:
            InputError: if the numbers do not make a network.
        """
        stem, window, down = triples(stem_strides), triples(windows), triples(down_strides)
        padding = triples(down_paddings) if down_paddings else tuple(_triple([s - 1 for s in d]) for d in down)
        if len(stem) != 2:
            raise InputError(f"stem_strides is {list(stem_strides)}; give two strides, such as [[2, 2, 2], [1, 2, 2]]")
        if min(n for numbers in (*stem, *window) for n in numbers) < 1:
            raise InputError(f"stem_strides {list(stem_strides)} and windows {list(windows)} must be 1 or more")
        if not len(window) - 1 == len(down) == len(padding):
            raise InputError(
                f"windows, down_strides and down_paddings have {len(window)}, {len(down)} and {len(padding)} entries; "
                "give a window per stage, and stride and padding between two stages"
            )
        for s, p in zip((s for d in down for s in d), (p for d in padding for p in d), strict=True):
            if s not in (1, 2) or not 0 <= p <= s - 1:
                raise InputError(
                    f"a stage is entered with stride {s} and padding {p}; strides are 1 or 2, the padding is 1 or, "
                    "where the stride is 1 or the finer grid odd, 0"
                )
        return cls((stem[0], stem[1]), window, down, padding)

    @property
    def strides(self) -> list[Triple]:
        """Voxels per token of each stage (of an odd grid the part that is covered)."""
        totals = [product(*self.stem_strides)]
        for stride in self.down_strides:
            totals.append(product(totals[-1], stride))
        return totals

    @property
    def output_paddings(self) -> list[Triple]:
        """What the transposed convolutions between the stages add to return to an odd grid."""
        return [
            _triple([int(s == 2 and p == 0) for s, p in zip(stride, padding, strict=True)])
            for stride, padding in zip(self.down_strides, self.down_paddings, strict=True)
        ]

    def grids(self, size: Sequence[int]) -> list[Triple]:
        """Return the tokens per axis of each stage for a patch (D, H, W) in voxels that fits."""
        return [_triple(stage) for stage in zip(*(self._axis(n, a) for a, n in enumerate(size)), strict=True)]

    def nearest(self, size: Sequence[int]) -> list[int]:
        """Return the patch nearest to `size` that fits, the larger one where two are equally near."""
        return [self._nearest(n, axis) for axis, n in enumerate(size)]

    def check_patch(self, size: Sequence[int]) -> None:
        """Refuse a patch (D, H, W) in voxels that the network cannot take down and up again.

        Raises:
            InputError: naming the reason and the nearest size that fits.
        """
        if len(size) != 3:
            raise InputError(f"patch_size is {list(size)}: give three numbers of voxels, as {self.nearest((1, 1, 1))}")
        for axis, n in enumerate(size):
            if reason := self._misfit(n, axis):
                raise InputError(
                    f"patch_size {list(size)} does not fit this network: {n} voxels along axis {axis} {reason}; the "
                    f"nearest size that fits is {self.nearest(size)}"
                )

    def _axis(self, n: int, axis: int) -> list[int]:
        grids = [n // (self.stem_strides[0][axis] * self.stem_strides[1][axis])]
        for stride, padding in zip(self.down_strides, self.down_paddings, strict=True):
            s, p = stride[axis], padding[axis]
            grids.append(grids[-1] if s == 1 else (grids[-1] + 2 * p - 3) // 2 + 1)
        return grids

    def _misfit(self, n: int, axis: int) -> str | None:
        token = self.strides[0][axis]
        if n < 1 or n % token:
            return f"are no multiple of the {token} voxels of a token"
        grids = self._axis(n, axis)
        for stage, (fine, coarse) in enumerate(zip(grids, grids[1:], strict=False)):
            if coarse * self.down_strides[stage][axis] + self.output_paddings[stage][axis] != fine:
                kind = "an odd" if self.output_paddings[stage][axis] else "an even"
                return f"give {fine} tokens at stage {stage + 1}, which has to be {kind} number"
        for stage, (window, grid) in enumerate(zip(self.windows, grids, strict=True)):
            if window[axis] > grid:
                return f"give {grid} tokens at stage {stage + 1}, fewer than its window of {window[axis]}"
        return None

    def _nearest(self, n: int, axis: int) -> int:
        token = self.strides[0][axis]
        far = max(n, 1) + 4 * max(w[axis] * s[axis] for w, s in zip(self.windows, self.strides, strict=True))
        fitting = [m for m in range(token, far, token) if self._misfit(m, axis) is None]
        return min(fitting, key=lambda m: (abs(m - n), -m))


def triples(values: Sequence[int | Sequence[int]]) -> tuple[Triple, ...]:
    """Return one triple per value, repeating plain numbers for the three axes."""
    return tuple(_triple([v] * 3 if isinstance(v, int) else v) for v in values)


def product(*factors: Sequence[int]) -> Triple:
    """Multiply sizes axis by axis."""
    return _triple([math.prod(axis) for axis in zip(*factors, strict=True)])


def quotient(size: Sequence[int], unit: Sequence[int]) -> Triple:
    """Return how many whole units a size holds, axis by axis."""
    return _triple([n // u for n, u in zip(size, unit, strict=True)])


def _triple(values: Sequence[int]) -> Triple:
    if len(values) != 3:
        raise InputError(f"{list(values)} has {len(values)} numbers; give one for all axes, or three")
    return values[0], values[1], values[2]
