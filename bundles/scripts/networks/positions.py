"""Where a patch lies in the image, as sines and cosines."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..errors import InputError


def sincos_positions(grid: Sequence[int], hidden_size: int) -> torch.Tensor:
    """Return the fixed position table of the masked autoencoders, base 10000.

    Each axis has an equal share of the channels, sines before cosines. In 3D the axes follow each other as in the
    grid, sin h, cos h, sin w, cos w, sin d, cos d, as in SelfMedMAE; MONAI's `build_sincos_position_embedding` puts w
    before h, which says the same in another order, so tables (and weights trained with them) cannot be exchanged. In
    2D w comes before h, as in He et al. and in MONAI.

    Args:
        grid: patches per axis, two or three.
        hidden_size: channels.

    Returns:
        (1, n, hidden_size), patches in C order of the grid.

    Raises:
        InputError: if the axes cannot share the channels equally.
    """
    dims = len(grid)
    if hidden_size % (2 * dims):
        raise InputError(f"hidden size {hidden_size} does not fit sin-cos positions: give a multiple of {2 * dims}")
    share = hidden_size // (2 * dims)
    omega = 10000.0 ** -(torch.arange(share, dtype=torch.float64) / share)
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid), indexing="ij")
    angles = [axis.reshape(-1, 1) * omega for axis in (axes[::-1] if dims == 2 else axes)]
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1).float()[None]
