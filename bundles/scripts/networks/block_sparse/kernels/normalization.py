"""Instance normalisation, sum and leaky ReLU of all samples at once.

Each sample's voxels are cut into parts. A first kernel sums over each part, a second over the parts, in fixed order, so
that results do not change from run to run; a third writes the values. One kernel does all of it where voxels are few.
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

# Voxels of all samples that one kernel normalises, lest two more launches take 20 to 30 us, mostly of Python. Each of
# its programs goes twice over these voxels, forward over its sample's alone: at most 32 tiles each time, below 1 us a
# tile, which is what memory takes to answer. So a few dozen programs do, one for each 16 channels.
FEW = 8192
FEW_TILE = {"values": 4096, "widest": 16}
FEW_WARPS = 16  # more values than 8 a thread would not fit into registers


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
    starts = where.starts if where else None
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
        starts: torch.Tensor | None,
        eps: float,
        slope: float,
    ) -> torch.Tensor:
        features = features.contiguous(memory_format=torch.channels_last_3d)
        if shortcut is not None:
            shortcut = shortcut.to(features.dtype).contiguous(memory_format=torch.channels_last_3d)
        samples = len(features) if starts is None else len(starts) - 1
        few, sizes, grid, tile = _plan(features, samples)
        moments = features.new_empty([samples, 2, features.shape[1]], dtype=torch.float32)
        out = torch.empty_like(features)
        if few:
            _few[grid](features, weight, bias, shortcut, starts, moments, out, *sizes, eps, slope, **tile)
        else:
            sums = features.new_empty([samples, grid[1], 2, features.shape[1]], dtype=torch.float32)
            _sum[grid](features, starts, sums, *sizes, **tile)
            _moments[(samples, 1, grid[2])](features, starts, sums, moments, *sizes, grid[1], eps, **tile)
            _apply[grid](features, weight, bias, shortcut, starts, moments, out, *sizes, slope, **tile)
        ctx.save_for_backward(features, weight, bias, shortcut, starts, moments)
        ctx.slope = slope
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        features, weight, bias, shortcut, starts, moments = known = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last_3d)
        samples = len(moments)
        few, sizes, grid, tile = _plan(features, samples)
        of_weight, of_bias = (v if v is None else torch.empty_like(v, dtype=torch.float32) for v in (weight, bias))
        of_sum = shortcut if shortcut is None else torch.empty_like(shortcut)
        back = torch.empty_like(features)
        channelwise = (1, 1, grid[2])
        if few:
            _few_backward[channelwise](
                grad, *known, of_sum, back, of_weight, of_bias, samples, *sizes, ctx.slope, **tile
            )
        else:
            sums = features.new_empty([samples, grid[1], 2, features.shape[1]], dtype=torch.float32)
            totals = torch.empty_like(moments)
            _sum_backward[grid](grad, *known, of_sum, sums, *sizes, ctx.slope, **tile)
            _total[channelwise](sums, totals, of_weight, of_bias, samples, sizes[1], grid[1], **tile)
            before, slope = (grad, ctx.slope) if of_sum is None else (of_sum, 1.0)
            _apply_backward[grid](before, features, weight, bias, starts, moments, totals, back, *sizes, slope, **tile)
        return back, of_weight, of_bias, of_sum, None, None, None


def _plan(features: torch.Tensor, samples: int) -> tuple[bool, tuple[int, int], tuple[int, int, int], dict[str, int]]:
    """Return whether voxels are few, voxels of a cell and channels, programs by sample, part and channel, and tile."""
    channels, voxels = features.shape[1], math.prod(features.shape[2:])
    rows = len(features) * voxels
    few = rows <= FEW
    block, width = tiles(channels, **FEW_TILE) if few else tiles(channels)
    wide = divided(channels, width)
    parts = 1 if few else min(divided(PROGRAMS, samples * wide), divided(rows, samples * block))
    tile = {"BLOCK": block, "WIDTH": width} | ({"num_warps": FEW_WARPS} if few else {})
    return few, (voxels, channels), (samples, parts, wide), tile


@triton.jit
def _bounds(starts, sample, voxels):
    """Return the first row of a sample and the one after its last; without starts it is one whole volume."""
    if starts is None:
        first = tl.cast(sample, tl.int64) * voxels
        last = first + voxels
    else:
        first, last = tl.load(starts + sample) * voxels, tl.load(starts + sample + 1) * voxels
    return first, last


@triton.jit
def _part(starts, voxels, BLOCK: tl.constexpr):
    """Return the first row of this program's part of its sample and the one after its last."""
    first, last = _bounds(starts, tl.program_id(0), voxels)
    blocks = tl.cdiv(last - first, tl.num_programs(1) * BLOCK)
    start = first + tl.program_id(1) * blocks * BLOCK
    return start, tl.minimum(start + blocks * BLOCK, last)


@triton.jit
def _count(first, last):
    """Return the voxels of a sample, at least 1."""
    return tl.maximum(last - first, 1).to(tl.float32)


@triton.jit
def _channel(WIDTH: tl.constexpr):
    """Return this program's channels."""
    return tl.program_id(2) * WIDTH + tl.arange(0, WIDTH)


@triton.jit
def _places(begin, last, channels, channel, BLOCK: tl.constexpr):
    """Return where the values of a tile are, and which there are."""
    row = begin + tl.arange(0, BLOCK)
    return row[:, None] * channels + channel[None, :], (row < last)[:, None] & (channel < channels)[None, :]


@triton.jit
def _read(values, at, there):
    return tl.load(values + at, mask=there, other=0.0).to(tl.float32)


@triton.jit
def _read_two(table, number, channels, channel):
    """Return both rows of (..., 2, C)."""
    at, there = number * 2 * channels + channel, channel < channels
    return _read(table, at, there), _read(table, at + channels, there)


@triton.jit
def _write_two(table, number, first, second, channels, channel):
    place, there = table + number * 2 * channels + channel, channel < channels
    tl.store(place, first, mask=there)
    tl.store(place + channels, second, mask=there)


@triton.jit
def _origin(features, first, last, channels, channel, BLOCK: tl.constexpr):
    """Return the mean of the first voxels of a sample."""
    at, there = _places(first, last, channels, channel, BLOCK)
    return tl.sum(_read(features, at, there), axis=0) / tl.minimum(_count(first, last), BLOCK)


@triton.jit
def _sums(features, origin, start, last, channels, channel, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Sum values and squares, counted from about their mean lest rounding eats the variance."""
    plain, squares = tl.zeros([BLOCK, WIDTH], tl.float32), tl.zeros([BLOCK, WIDTH], tl.float32)
    for begin in range(start, last, BLOCK):
        at, there = _places(begin, last, channels, channel, BLOCK)
        x = tl.where(there, _read(features, at, there) - origin[None, :], 0.0)
        plain += x
        squares += x * x
    return tl.sum(plain, axis=0), tl.sum(squares, axis=0)


@triton.jit
def _sums_of_parts(sums, sample, parts, channels, channel, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Return both sums over the parts of a sample."""
    first, second = tl.zeros([BLOCK, WIDTH], tl.float32), tl.zeros([BLOCK, WIDTH], tl.float32)
    for begin in range(0, parts, BLOCK):
        part = begin + tl.arange(0, BLOCK)
        at = (sample * parts + part)[:, None] * 2 * channels + channel[None, :]
        there = (part < parts)[:, None] & (channel < channels)[None, :]
        first += _read(sums, at, there)
        second += _read(sums, at + channels, there)
    return tl.sum(first, axis=0), tl.sum(second, axis=0)


@triton.jit
def _moments_of(plain, squares, origin, first, last, eps):
    """Turn sums into the mean and one over the standard deviation."""
    count = _count(first, last)
    mean = plain / count
    variance = tl.maximum(squares / count - mean * mean, 0.0)
    return origin + mean, 1 / tl.sqrt(variance + eps)


@triton.jit
def _statistics(mean, inverse, weight, bias, channels, channel):
    """Return mean and one over the deviation of a sample's channels, and scale and shift."""
    scale, shift = tl.full(mean.shape, 1.0, tl.float32), tl.zeros(mean.shape, tl.float32)
    if weight is not None:
        scale, shift = _read(weight, channel, channel < channels), _read(bias, channel, channel < channels)
    return mean[None, :], inverse[None, :], scale[None, :], shift[None, :]


@triton.jit
def _values(features, shortcut, statistics, at, there):
    """Return normalised values, and what is activated."""
    mean, inverse, scale, shift = statistics
    x = (_read(features, at, there) - mean) * inverse
    z = x * scale + shift
    if shortcut is not None:
        z += _read(shortcut, at, there)
    return x, z


@triton.jit
def _gradients(grad, features, shortcut, statistics, slope, at, there):
    """Return normalised values, and gradients before the activation."""
    x, z = _values(features, shortcut, statistics, at, there)
    g = _read(grad, at, there)
    return x, tl.where(z > 0, g, g * slope)


@triton.jit
def _write(features, shortcut, out, statistics, slope, start, last, channels, channel, BLOCK: tl.constexpr):
    for begin in range(start, last, BLOCK):
        at, there = _places(begin, last, channels, channel, BLOCK)
        _, z = _values(features, shortcut, statistics, at, there)
        tl.store(out + at, tl.where(z > 0, z, z * slope), mask=there)


@triton.jit
def _sums_of_gradients(
    grad, features, shortcut, of_sum, statistics, slope, start, last, channels, channel,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Sum gradients before the activation, alone and times the normalised values; write them if they go elsewhere."""
    plain, product = tl.zeros([BLOCK, WIDTH], tl.float32), tl.zeros([BLOCK, WIDTH], tl.float32)
    for begin in range(start, last, BLOCK):
        at, there = _places(begin, last, channels, channel, BLOCK)
        x, g = _gradients(grad, features, shortcut, statistics, slope, at, there)
        if of_sum is not None:
            tl.store(of_sum + at, g, mask=there)
        plain += g
        product += g * x
    return tl.sum(plain, axis=0), tl.sum(product, axis=0)


@triton.jit
def _write_gradients(
    grad, features, shortcut, back, statistics, plain, product, count, slope, start, last, channels, channel,
    BLOCK: tl.constexpr,
):  # fmt: skip
    _, inverse, scale, _ = statistics
    plain, product = plain[None, :] / count, product[None, :] / count
    for begin in range(start, last, BLOCK):
        at, there = _places(begin, last, channels, channel, BLOCK)
        x, g = _gradients(grad, features, shortcut, statistics, slope, at, there)
        tl.store(back + at, (g - plain - x * product) * inverse * scale, mask=there)


@triton.jit
def _write_affine(of_weight, of_bias, product, plain, channels, channel):
    """Write the gradients of scale and shift, the sums over all samples."""
    if of_weight is not None:
        tl.store(of_weight + channel, product, mask=channel < channels)
        tl.store(of_bias + channel, plain, mask=channel < channels)


@triton.jit(do_not_specialize=SHAPES)
def _few(
    features, weight, bias, shortcut, starts, moments, out, voxels, channels, eps, slope,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Do what the next three do."""
    sample, channel = tl.program_id(0), _channel(WIDTH)
    first, last = _bounds(starts, sample, voxels)
    origin = _origin(features, first, last, channels, channel, BLOCK)
    plain, squares = _sums(features, origin, first, last, channels, channel, BLOCK, WIDTH)
    mean, inverse = _moments_of(plain, squares, origin, first, last, eps)
    _write_two(moments, sample, mean, inverse, channels, channel)
    statistics = _statistics(mean, inverse, weight, bias, channels, channel)
    _write(features, shortcut, out, statistics, slope, first, last, channels, channel, BLOCK)


@triton.jit(do_not_specialize=SHAPES)
def _sum(features, starts, sums, voxels, channels, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    channel = _channel(WIDTH)
    first, end = _bounds(starts, tl.program_id(0), voxels)
    origin = _origin(features, first, end, channels, channel, BLOCK)
    start, last = _part(starts, voxels, BLOCK)
    plain, squares = _sums(features, origin, start, last, channels, channel, BLOCK, WIDTH)
    number = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
    _write_two(sums, number, plain, squares, channels, channel)


@triton.jit(do_not_specialize=SHAPES)
def _moments(features, starts, sums, moments, voxels, channels, parts, eps, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    sample, channel = tl.program_id(0), _channel(WIDTH)
    first, last = _bounds(starts, sample, voxels)
    origin = _origin(features, first, last, channels, channel, BLOCK)
    plain, squares = _sums_of_parts(sums, sample, parts, channels, channel, BLOCK, WIDTH)
    mean, inverse = _moments_of(plain, squares, origin, first, last, eps)
    _write_two(moments, sample, mean, inverse, channels, channel)


@triton.jit(do_not_specialize=SHAPES)
def _apply(
    features, weight, bias, shortcut, starts, moments, out, voxels, channels, slope,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    channel = _channel(WIDTH)
    mean, inverse = _read_two(moments, tl.program_id(0), channels, channel)
    statistics = _statistics(mean, inverse, weight, bias, channels, channel)
    start, last = _part(starts, voxels, BLOCK)
    _write(features, shortcut, out, statistics, slope, start, last, channels, channel, BLOCK)


@triton.jit(do_not_specialize=SHAPES)
def _few_backward(
    grad, features, weight, bias, shortcut, starts, moments, of_sum, back, of_weight, of_bias, samples, voxels,
    channels, slope, BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Do what the next three do."""
    channel = _channel(WIDTH)
    all_plain, all_product = tl.zeros([WIDTH], tl.float32), tl.zeros([WIDTH], tl.float32)
    for sample in range(samples):
        first, last = _bounds(starts, sample, voxels)
        mean, inverse = _read_two(moments, sample, channels, channel)
        statistics = _statistics(mean, inverse, weight, bias, channels, channel)
        plain, product = _sums_of_gradients(
            grad, features, shortcut, of_sum, statistics, slope, first, last, channels, channel, BLOCK, WIDTH
        )  # fmt: skip
        _write_gradients(
            grad, features, shortcut, back, statistics, plain, product, _count(first, last), slope,
            first, last, channels, channel, BLOCK,
        )  # fmt: skip
        all_plain += plain
        all_product += product
    _write_affine(of_weight, of_bias, all_product, all_plain, channels, channel)


@triton.jit(do_not_specialize=SHAPES)
def _sum_backward(
    grad, features, weight, bias, shortcut, starts, moments, of_sum, sums, voxels, channels, slope,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    channel = _channel(WIDTH)
    mean, inverse = _read_two(moments, tl.program_id(0), channels, channel)
    statistics = _statistics(mean, inverse, weight, bias, channels, channel)
    start, last = _part(starts, voxels, BLOCK)
    plain, product = _sums_of_gradients(
        grad, features, shortcut, of_sum, statistics, slope, start, last, channels, channel, BLOCK, WIDTH
    )  # fmt: skip
    number = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
    _write_two(sums, number, plain, product, channels, channel)


@triton.jit(do_not_specialize=SHAPES)
def _total(sums, totals, of_weight, of_bias, samples, channels, parts, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    channel = _channel(WIDTH)
    all_plain, all_product = tl.zeros([WIDTH], tl.float32), tl.zeros([WIDTH], tl.float32)
    for sample in range(samples):
        plain, product = _sums_of_parts(sums, sample, parts, channels, channel, BLOCK, WIDTH)
        _write_two(totals, sample, plain, product, channels, channel)
        all_plain += plain
        all_product += product
    _write_affine(of_weight, of_bias, all_product, all_plain, channels, channel)


@triton.jit(do_not_specialize=SHAPES)
def _apply_backward(
    grad, features, weight, bias, starts, moments, totals, back, voxels, channels, slope,
    BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Write gradients of the features; those that went elsewhere come as `grad`, with a slope of 1."""
    channel = _channel(WIDTH)
    mean, inverse = _read_two(moments, tl.program_id(0), channels, channel)
    statistics = _statistics(mean, inverse, weight, bias, channels, channel)
    plain, product = _read_two(totals, tl.program_id(0), channels, channel)
    first, end = _bounds(starts, tl.program_id(0), voxels)
    start, last = _part(starts, voxels, BLOCK)
    _write_gradients(
        grad, features, None, back, statistics, plain, product, _count(first, end), slope,
        start, last, channels, channel, BLOCK,
    )  # fmt: skip
