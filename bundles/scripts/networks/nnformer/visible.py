"""The encoder of nnFormer on visible units alone.

Hidden parts of the image never enter: each visible unit goes through stem and local stages as an image of its own, with
zeros around it, and the units meet in the global stages, where a token's bias follows from its true position. So the
cost falls with the share of what is hidden (HiViT 2022, Hiera 2023: isolated mask units).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange

from ...errors import InputError
from ..recompute import run
from .encoder import Encoder
from .geometry import Geometry, quotient
from .window import coordinates, relative_index

NUM_GLOBAL = 2  # stages at the end in which the units meet


def encode_visible(
    encoder: Encoder, geometry: Geometry, image: torch.Tensor, cells: torch.Tensor, cell_size: Sequence[int]
) -> list[torch.Tensor]:
    """Run the encoder on the visible cells.

    Args:
        encoder: whose first stages have windows that tile a cell, and whose last two have windows of the whole grid.
        geometry: of the encoder.
        image: (B, C, D, H, W).
        cells: (B, V), numbers of the visible cells.
        cell_size: voxels per axis.

    Returns:
        Per stage (B*V, d, h, w, C_s), the normed output on the tokens of each visible cell.

    Raises:
        InputError: if there is none.
    """
    if not cells.shape[1]:
        raise InputError("the mask hides everything: show at least one cell")
    size = image.shape[2:]
    grids = geometry.grids(size)
    units = [quotient(cell_size, stride) for stride in geometry.strides]
    places = [positions(cells, quotient(grid, unit), unit) for grid, unit in zip(grids, units, strict=True)]
    num_local = len(grids) - NUM_GLOBAL
    outputs = []
    x = run(encoder.stem, _take(image, cells, cell_size), checkpointing=encoder.checkpointing)
    for stage in range(num_local):
        x = encoder.stage(stage, x)
        outputs.append(encoder.norms[stage](x))
        x = encoder.downs[stage](x)
    tokens = as_tokens(x, len(image))
    for stage in range(num_local, len(grids)):
        if stage > num_local:
            down = encoder.downs[stage - 1]
            seen = scatter(down.activate(tokens), places[stage - 1], grids[stage - 1])  # type: ignore[operator]
            tokens = gather(down.reduce(seen), places[stage])  # type: ignore[operator]
        for block in encoder.stages[stage].children():
            index = relative_index(places[stage], geometry.windows[stage], block.quirks)  # type: ignore[arg-type]
            tokens = run(block.forward_tokens, tokens, index, checkpointing=encoder.checkpointing)  # type: ignore[arg-type]
        normed = encoder.norms[stage](tokens)
        outputs.append(normed.reshape(-1, *units[stage], normed.shape[-1]))
    return outputs


def positions(cells: torch.Tensor, cell_grid: Sequence[int], unit: Sequence[int]) -> torch.Tensor:
    """Return where the tokens of cells lie in the whole grid.

    Args:
        cells: (B, V), numbers of cells.
        cell_grid: cells per axis.
        unit: tokens of a cell per axis.

    Returns:
        (B, V * tokens, 3).
    """
    corners = coordinates(cell_grid, cells.device)[cells] * torch.tensor(list(unit), device=cells.device)
    return (corners[:, :, None] + coordinates(unit, cells.device)).flatten(1, 2)


def as_tokens(units: torch.Tensor, batch_size: int) -> torch.Tensor:
    """Turn maps of visible cells (B*V, d, h, w, C) into tokens (B, V * d*h*w, C), in the order of `positions`."""
    return units.reshape(batch_size, -1, units.shape[-1])


def scatter(
    tokens: torch.Tensor, places: torch.Tensor, grid: Sequence[int], empty: torch.Tensor | None = None
) -> torch.Tensor:
    """Put tokens (B, N, C) at their places (B, N, 3) of a grid (B, d, h, w, C) of zeros, or of tokens `empty` (C,)."""
    d, h, w = grid
    shape = (tokens.shape[0], d * h * w, tokens.shape[-1])
    canvas = tokens.new_zeros(shape) if empty is None else empty.to(tokens.dtype).expand(shape)
    return canvas.scatter(1, _flat(places, grid, tokens.shape[-1]), tokens).unflatten(1, (d, h, w))


def gather(x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Take tokens (B, N, C) from their places (B, N, 3) of a map (B, d, h, w, C)."""
    return x.flatten(1, 3).gather(1, _flat(places, x.shape[1:4], x.shape[-1]))


def _take(image: torch.Tensor, cells: torch.Tensor, cell_size: Sequence[int]) -> torch.Tensor:
    i, j, k = cell_size
    units = rearrange(image, "b c (d i) (h j) (w k) -> b (d h w) c i j k", i=i, j=j, k=k)
    return units[torch.arange(len(image), device=image.device)[:, None], cells].flatten(0, 1)


def _flat(places: torch.Tensor, grid: Sequence[int], channels: int) -> torch.Tensor:
    number = (places[..., 0] * grid[1] + places[..., 1]) * grid[2] + places[..., 2]
    return number.unsqueeze(-1).expand(-1, -1, channels)
