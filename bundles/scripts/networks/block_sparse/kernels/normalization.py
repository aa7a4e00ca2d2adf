"""Instance normalisation, sum and leaky ReLU of all samples at once.

Each sample's voxels are cut into parts. A first kernel sums over each part, a second over the parts, in fixed order, so
that results do not change from run to run; a third writes the values.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from ..cells import Cells
from .tiles import SHAPES, divided, tiles

PROGRAMS = 1024  # some for every multiprocessor


def normalize_on_gpu(
    features: torch.Tensor,
    where: Cells | None,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    eps: float,
    slope: float,
    shortcut: torch.Tensor | None,
) -> torch.Tensor:
    """Do what `normalize` does; the arguments are its own."""
    starts = where.starts if where else torch.arange(len(features) + 1, device=features.device)
    out: torch.Tensor = _Normalize.apply(features, weight, bias, shortcut, starts, eps, slope)
    return out


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        shortcut: torch.Tensor | None,
        starts: torch.Tensor,
        eps: float,
        slope: float,
    ) -> torch.Tensor:
        features = features.contiguous(memory_format=torch.channels_last_3d)
        if shortcut is not None:
            shortcut = shortcut.to(features.dtype).contiguous(memory_format=torch.channels_last_3d)
        samples, channels, voxels, grid, tile = _plan(features, starts)
        sums = features.new_empty([samples, grid[1], 2, channels], dtype=torch.float32)
        moments = features.new_empty([samples, 2, channels], dtype=torch.float32)
        out = torch.empty_like(features)
        _sum[grid](features, starts, sums, voxels, channels, **tile)
        few = (samples, grid[2])
        _moments[few](features, starts, sums, moments, voxels, channels, grid[1], eps, **tile)
        affine, added = weight is not None, shortcut is not None
        _apply[grid](
            features, weight, bias, shortcut, starts, moments, out, voxels, channels, slope,
            AFFINE=affine, ADDED=added, **tile,
        )  # fmt: skip
        ctx.save_for_backward(features, weight, bias, shortcut, starts, moments)
        ctx.slope = slope
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        features, weight, bias, shortcut, starts, moments = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last_3d)
        samples, channels, voxels, grid, tile = _plan(features, starts)
        affine, added = weight is not None, shortcut is not None
        sums = features.new_empty([samples, grid[1], 2, channels], dtype=torch.float32)
        totals = features.new_empty([samples, 2, channels], dtype=torch.float32)
        of_sum = torch.empty_like(features) if added else None
        back = torch.empty_like(features)
        _sum_backward[grid](
            grad, features, weight, bias, shortcut, starts, moments, of_sum, sums, voxels, channels, ctx.slope,
            AFFINE=affine, ADDED=added, **tile,
        )  # fmt: skip
        _total[(samples, grid[2])](sums, totals, channels, grid[1], WIDTH=tile["WIDTH"])
        _apply_backward[grid](
            of_sum if added else grad, features, weight, bias, starts, moments, totals, back, voxels, channels,
            ctx.slope, AFFINE=affine, ADDED=added, **tile,
        )  # fmt: skip
        of_bias, of_weight = totals.sum(dim=0) if affine else (None, None)
        return back, of_weight, of_bias, of_sum, None, None, None


def _plan(features: torch.Tensor, starts: torch.Tensor) -> tuple[int, int, int, tuple[int, int, int], dict[str, int]]:
    """Return samples, channels, voxels of a cell, the programs per sample, part and channels, and the tile."""
    samples, channels, voxels = len(starts) - 1, features.shape[1], math.prod(features.shape[2:])
    block, width = tiles(channels)
    wide = divided(channels, width)
    parts = min(divided(PROGRAMS, samples * wide), divided(len(features) * voxels, samples * block))
    return samples, channels, voxels, (samples, max(1, parts), wide), {"BLOCK": block, "WIDTH": width}


@triton.jit
def _part(starts, voxels, BLOCK: tl.constexpr):
    """Return the first and the last row of this program's part of its sample."""
    sample, part, parts = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    first, last = tl.load(starts + sample) * voxels, tl.load(starts + sample + 1) * voxels
    blocks = tl.cdiv(last - first, parts * BLOCK)
    start = first + part * blocks * BLOCK
    return start, tl.minimum(start + blocks * BLOCK, last)


@triton.jit
def _origin(features, starts, voxels, channels, channel, BLOCK: tl.constexpr):
    """Return the mean of the first voxels of a sample."""
    first, last = tl.load(starts + tl.program_id(0)) * voxels, tl.load(starts + tl.program_id(0) + 1) * voxels
    row = first + tl.arange(0, BLOCK)
    there = (row < last)[:, None] & (channel < channels)[None, :]
    values = tl.load(features + row[:, None] * channels + channel[None, :], mask=there, other=0.0).to(tl.float32)
    return tl.sum(values, axis=0) / tl.minimum(_count(starts, voxels), BLOCK)


@triton.jit
def _count(starts, voxels):
    """Return the voxels of a sample, at least 1."""
    count = (tl.load(starts + tl.program_id(0) + 1) - tl.load(starts + tl.program_id(0))) * voxels
    return tl.maximum(count, 1).to(tl.float32)


@triton.jit(do_not_specialize=SHAPES)
def _sum(features, starts, sums, voxels, channels, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Sum values and squares of a part, counted from about their mean lest rounding eats the variance."""
    channel = tl.program_id(2) * WIDTH + tl.arange(0, WIDTH)
    known = channel < channels
    start, last = _part(starts, voxels, BLOCK)
    origin = _origin(features, starts, voxels, channels, channel, BLOCK)
    plain, squares = tl.zeros([BLOCK, WIDTH], tl.float32), tl.zeros([BLOCK, WIDTH], tl.float32)
    for begin in range(start, last, BLOCK):
        row = begin + tl.arange(0, BLOCK)
        there = (row < last)[:, None] & known[None, :]
        x = tl.load(features + row[:, None] * channels + channel[None, :], mask=there, other=0.0).to(tl.float32)
        x = tl.where(there, x - origin[None, :], 0.0)
        plain += x
        squares += x * x
    place = sums + (tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)) * 2 * channels + channel
    tl.store(place, tl.sum(plain, axis=0), mask=known)
    tl.store(place + channels, tl.sum(squares, axis=0), mask=known)


@triton.jit
def _sum_parts(sums, channels, parts, channel, WIDTH: tl.constexpr):
    """Return both sums over the parts of a sample."""
    first, second = tl.zeros([16, WIDTH], tl.float32), tl.zeros([16, WIDTH], tl.float32)
    for begin in range(0, parts, 16):
        part = begin + tl.arange(0, 16)
        there = (part < parts)[:, None] & (channel < channels)[None, :]
        place = sums + (tl.program_id(0) * parts + part)[:, None] * 2 * channels + channel[None, :]
        first += tl.load(place, mask=there, other=0.0)
        second += tl.load(place + channels, mask=there, other=0.0)
    return tl.sum(first, axis=0), tl.sum(second, axis=0)


@triton.jit(do_not_specialize=SHAPES)
def _moments(features, starts, sums, moments, voxels, channels, parts, eps, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Turn the parts' sums into the mean and one over the standard deviation."""
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    known = channel < channels
    plain, squares = _sum_parts(sums, channels, parts, channel, WIDTH)
    origin = _origin(features, starts, voxels, channels, channel, BLOCK)
    count = _count(starts, voxels)
    mean = plain / count
    variance = tl.maximum(squares / count - mean * mean, 0.0)
    place = moments + tl.program_id(0) * 2 * channels + channel
    tl.store(place, origin + mean, mask=known)
    tl.store(place + channels, 1 / tl.sqrt(variance + eps), mask=known)


@triton.jit(do_not_specialize=SHAPES)
def _total(sums, totals, channels, parts, WIDTH: tl.constexpr):
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    first, second = _sum_parts(sums, channels, parts, channel, WIDTH)
    place = totals + tl.program_id(0) * 2 * channels + channel
    tl.store(place, first, mask=channel < channels)
    tl.store(place + channels, second, mask=channel < channels)


@triton.jit
def _statistics(moments, weight, bias, channels, channel, AFFINE: tl.constexpr):
    """Return mean and one over the deviation of a sample's channels, and scale and shift."""
    known = channel < channels
    place = moments + tl.program_id(0) * 2 * channels + channel
    mean, inverse = tl.load(place, mask=known, other=0.0), tl.load(place + channels, mask=known, other=0.0)
    scale, shift = tl.full(mean.shape, 1.0, tl.float32), tl.zeros(mean.shape, tl.float32)
    if AFFINE:
        scale = tl.load(weight + channel, mask=known, other=0.0).to(tl.float32)
        shift = tl.load(bias + channel, mask=known, other=0.0).to(tl.float32)
    return mean[None, :], inverse[None, :], scale[None, :], shift[None, :]


@triton.jit(do_not_specialize=SHAPES)
def _apply(
    features, weight, bias, shortcut, starts, moments, out, voxels, channels, slope,
    AFFINE: tl.constexpr, ADDED: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(2) * WIDTH + tl.arange(0, WIDTH)
    mean, inverse, scale, shift = _statistics(moments, weight, bias, channels, channel, AFFINE)
    start, last = _part(starts, voxels, BLOCK)
    for begin in range(start, last, BLOCK):
        row = begin + tl.arange(0, BLOCK)
        there = (row < last)[:, None] & (channel < channels)[None, :]
        at = row[:, None] * channels + channel[None, :]
        z = (tl.load(features + at, mask=there, other=0.0).to(tl.float32) - mean) * inverse * scale + shift
        if ADDED:
            z += tl.load(shortcut + at, mask=there, other=0.0).to(tl.float32)
        tl.store(out + at, tl.where(z > 0, z, z * slope), mask=there)


@triton.jit(do_not_specialize=SHAPES)
def _sum_backward(
    grad, features, weight, bias, shortcut, starts, moments, of_sum, sums, voxels, channels, slope,
    AFFINE: tl.constexpr, ADDED: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Sum gradients before the activation, alone and times the normalised values; write them if they go elsewhere."""
    channel = tl.program_id(2) * WIDTH + tl.arange(0, WIDTH)
    mean, inverse, scale, shift = _statistics(moments, weight, bias, channels, channel, AFFINE)
    start, last = _part(starts, voxels, BLOCK)
    plain, product = tl.zeros([BLOCK, WIDTH], tl.float32), tl.zeros([BLOCK, WIDTH], tl.float32)
    for begin in range(start, last, BLOCK):
        row = begin + tl.arange(0, BLOCK)
        there = (row < last)[:, None] & (channel < channels)[None, :]
        at = row[:, None] * channels + channel[None, :]
        x = (tl.load(features + at, mask=there, other=0.0).to(tl.float32) - mean) * inverse
        z = x * scale + shift
        if ADDED:
            z += tl.load(shortcut + at, mask=there, other=0.0).to(tl.float32)
        g = tl.load(grad + at, mask=there, other=0.0).to(tl.float32)
        g = tl.where(z > 0, g, g * slope)
        if ADDED:
            tl.store(of_sum + at, g, mask=there)
        plain += g
        product += g * x
    place = sums + (tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)) * 2 * channels + channel
    tl.store(place, tl.sum(plain, axis=0), mask=channel < channels)
    tl.store(place + channels, tl.sum(product, axis=0), mask=channel < channels)


@triton.jit(do_not_specialize=SHAPES)
def _apply_backward(
    grad, features, weight, bias, starts, moments, totals, back, voxels, channels, slope,
    AFFINE: tl.constexpr, ADDED: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(2) * WIDTH + tl.arange(0, WIDTH)
    known = channel < channels
    mean, inverse, scale, shift = _statistics(moments, weight, bias, channels, channel, AFFINE)
    count = _count(starts, voxels)
    place = totals + tl.program_id(0) * 2 * channels + channel
    plain = tl.load(place, mask=known, other=0.0)[None, :] / count
    product = tl.load(place + channels, mask=known, other=0.0)[None, :] / count
    start, last = _part(starts, voxels, BLOCK)
    for begin in range(start, last, BLOCK):
        row = begin + tl.arange(0, BLOCK)
        there = (row < last)[:, None] & known[None, :]
        at = row[:, None] * channels + channel[None, :]
        x = (tl.load(features + at, mask=there, other=0.0).to(tl.float32) - mean) * inverse
        g = tl.load(grad + at, mask=there, other=0.0).to(tl.float32)
        if not ADDED:
            g = tl.where(x * scale + shift > 0, g, g * slope)
        tl.store(back + at, (g - plain - x * product) * inverse * scale, mask=there)
