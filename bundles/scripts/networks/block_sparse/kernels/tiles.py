"""How kernels cut features in channels-last order into tiles."""

from __future__ import annotations

TILE = 2048  # values of a tile


def tiles(channels: int, values: int = TILE, widest: int = 64) -> tuple[int, int]:
    """Return rows (voxels) and channels of a tile, powers of two."""
    width = min(widest, 1 << (channels - 1).bit_length())
    return values // width, width


def launch(rows: int, channels: int) -> tuple[tuple[int, int], dict[str, int]]:
    """Return the grid of programs for so many rows, one tile each, and the tile."""
    block, width = tiles(channels)
    return (divided(rows, block), divided(channels, width)), {"BLOCK": block, "WIDTH": width}


def divided(number: int, by: int) -> int:
    """Return a quotient rounded up; `triton.cdiv` is slower outside of kernels, and a step asks hundreds of times."""
    return -(-number // by)


# Triton compiles a kernel again for numbers that are 1 or divisible by 16, but not for these, lest the first steps take
# minutes. Channels are left out on purpose: their divisibility makes loads wide.
SHAPES = ["rows", "number", "samples", "voxels", "parts", "margin", "thick"]
SHAPES += [f"{name}{axis}" for name in ("", "low_", "side_", "wide_") for axis in ("d", "h", "w")] + ["D", "H", "W"]
