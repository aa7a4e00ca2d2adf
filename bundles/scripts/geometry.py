"""Arithmetic of patch sizes."""

from __future__ import annotations

from collections.abc import Sequence


def is_multiple(size: Sequence[int], unit: Sequence[int]) -> bool:
    """Tell whether every side of `size` is a multiple of that of `unit`."""
    return all(n % u == 0 for n, u in zip(size, unit, strict=True))


def nearest_multiple(size: Sequence[int], unit: Sequence[int]) -> list[int]:
    """Return the multiple of `unit` nearest to `size`, the larger one where two are equally near."""
    return [max(u, (2 * n + u) // (2 * u) * u) for n, u in zip(size, unit, strict=True)]
