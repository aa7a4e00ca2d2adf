"""Axes along which training mirrors scans."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from ..geometry import check_axes


def flipped_axes(flip_axes: Sequence[int], mirror_axes: Sequence[int] = ()) -> list[int]:
    """Return the axes to mirror along in training, in order, if validation mirrors along no others.

    Args:
        flip_axes: of 0, 1 and 2.
        mirror_axes: along which predictions of validation are averaged; left may be another class there.

    Raises:
        InputError: if one of them is no list of different axes, or these are not all among the first.
    """
    check_axes(3, flip_axes=flip_axes, mirror_axes=mirror_axes)
    if not set(mirror_axes) <= set(flip_axes):
        raise InputError(
            f"flip_axes is {list(flip_axes)}, here mirror_axes is {list(mirror_axes)}: validation mirrors along axes "
            f'that training does not, give --mirror_axes "{sorted(set(mirror_axes) & set(flip_axes))}"'
        )
    return sorted(flip_axes)
