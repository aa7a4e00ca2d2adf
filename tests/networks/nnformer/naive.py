"""nnFormer written token by token from its description, on state dicts with the official names."""

import functools
import itertools

import torch
import torch.nn.functional as F

from scripts.checkpoints.nnformer_keys import official_name


def to_official(network):
    """Return the weights under the official names, with the index buffers that the official code keeps."""
    state = {official_name(name): value for name, value in network.state_dict().items()}
    for name, buffer in network.named_buffers():
        if name.endswith("attention.index"):
            state[official_name(name)] = buffer
    return state


@functools.cache
def table_row(offset, window, quirks):
    if quirks:
        z, y, x = (o + w - 1 for o, w in zip(offset, window, strict=True))
        return z * (3 * window[1] - 1) + y * (2 * window[1] - 1) + x
    return list(itertools.product(*(range(-w + 1, w) for w in window))).index(offset)


def attend(query, keys, values, rows, table, num_heads):
    """One query (C,) to keys and values (N, C), of which each has a row of the table."""
    parts = []
    for head in range(num_heads):
        channels = slice(head * len(query) // num_heads, (head + 1) * len(query) // num_heads)
        logits = [
            (query[channels] * key[channels]).sum() / len(query[channels]) ** 0.5 + table[row, head]
            for key, row in zip(keys, rows, strict=True)
        ]
        weights = torch.stack(logits).softmax(0)
        parts.append(sum(w * v[channels] for w, v in zip(weights, values, strict=True)))
    return torch.cat(parts)


def window_attention(state, name, x, context, window, shift, num_heads, shift_mask=True, quirks=False):
    """Attention of every token of `x` (D, H, W, C), normed, to `context` within its window."""
    grid = x.shape[:3]
    full = [-(-n // w) * w for n, w in zip(grid, window, strict=True)]
    zero = torch.zeros(x.shape[-1], dtype=x.dtype)
    rolled = list(itertools.product(*(range(n) for n in full)))
    origin = {r: tuple((a + s) % n for a, s, n in zip(r, shift, full, strict=True)) for r in rolled}
    real = {r: all(o < n for o, n in zip(origin[r], grid, strict=True)) for r in rolled}
    token = {r: context[origin[r]] if real[r] else zero for r in rolled}
    table = state[f"{name}.relative_position_bias_table"]
    cross = f"{name}.kv.weight" in state
    kind = "kv" if cross else "qkv"
    weight, bias = state[f"{name}.{kind}.weight"], state[f"{name}.{kind}.bias"]
    dim = x.shape[-1]
    projected = {r: F.linear(token[r], weight, bias) for r in rolled}
    out = torch.zeros_like(x)
    for r in rolled:
        if not real[r]:
            continue
        keys = []
        for k in rolled:
            same = all(a // w == b // w for a, b, w in zip(r, k, window, strict=True))
            apart = [a - b for a, b in zip(r, k, strict=True)]
            neighbours = apart == [a - b for a, b in zip(origin[r], origin[k], strict=True)]
            if same and (neighbours or not shift_mask) and (real[k] or quirks):
                keys.append(k)
        rows = [table_row(tuple(a - b for a, b in zip(r, k, strict=True)), tuple(window), quirks) for k in keys]
        query = x[origin[r]] if cross else projected[r][:dim]
        vectors = [projected[k] if cross else projected[k][dim:] for k in keys]
        mixed = attend(query, [v[:dim] for v in vectors], [v[dim:] for v in vectors], rows, table, num_heads)
        out[origin[r]] = F.linear(mixed, state[f"{name}.proj.weight"], state[f"{name}.proj.bias"])
    return out


def norm(state, name, x):
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]


def gelu(x):
    return x / 2 * (1 + torch.erf(x / 2**0.5))


def block(state, name, x, window, shifted, num_heads, skip=None, **rules):
    """A transformer block on one map (D, H, W, C)."""
    covered = [w >= n for w, n in zip(window, x.shape, strict=False)]
    shift = [w // 2 if shifted and not c else 0 for w, c in zip(window, covered, strict=True)]
    normed = norm(state, f"{name}.norm1", x)
    context = normed if skip is None else norm(state, f"{name}.norm1", skip)
    base = x if skip is None else x + skip
    x = base + window_attention(state, f"{name}.attn", normed, context, window, shift, num_heads, **rules)
    hidden = gelu(F.linear(norm(state, f"{name}.norm2", x), *linear(state, f"{name}.mlp.fc1")))
    return x + F.linear(hidden, *linear(state, f"{name}.mlp.fc2"))


def linear(state, name):
    return state[f"{name}.weight"], state[f"{name}.bias"]


def conv(state, name, x, **how):
    """A convolution of a map (D, H, W, C)."""
    return F.conv3d(x.permute(3, 0, 1, 2)[None], *linear(state, name), **how)[0].permute(1, 2, 3, 0)


def conv_transposed(state, name, x, **how):
    return F.conv_transpose3d(x.permute(3, 0, 1, 2)[None], *linear(state, name), **how)[0].permute(1, 2, 3, 0)


def stem(state, image, strides):
    """Tokens (d, h, w, E) of an image (C, D, H, W)."""
    name = "model_down.patch_embed"
    x = image.permute(1, 2, 3, 0)
    x = norm(state, f"{name}.proj1.norm1", gelu(conv(state, f"{name}.proj1.conv1", x, stride=strides[0], padding=1)))
    x = norm(state, f"{name}.proj1.norm2", gelu(conv(state, f"{name}.proj1.conv2", x, padding=1)))
    x = norm(state, f"{name}.proj2.norm1", gelu(conv(state, f"{name}.proj2.conv1", x, stride=strides[1], padding=1)))
    return norm(state, f"{name}.norm", conv(state, f"{name}.proj2.conv2", x, padding=1))


def network(state, image, settings, **rules):
    """Logits (C, D, H, W) of the finest head, and the encoder's maps."""
    windows, heads, depths = settings["windows"], settings["num_heads"], settings["depths"]
    x = stem(state, image, settings["stem_strides"])
    skips = []
    for s, depth in enumerate(depths):
        for b in range(depth):
            x = block(state, f"model_down.layers.{s}.blocks.{b}", x, windows[s], b % 2 == 1, heads[s], **rules)
        skips.append(norm(state, f"model_down.norm{s}", x))
        if s < len(depths) - 1:
            name = f"model_down.layers.{s}.downsample"
            how = {"stride": settings["down_strides"][s], "padding": settings["down_paddings"][s]}
            x = conv(state, f"{name}.reduction", norm(state, f"{name}.norm", gelu(x)), **how)
    x = skips[-1]
    for s in reversed(range(len(depths) - 1)):
        stride = settings["down_strides"][s]
        extra = [n - m * t for n, m, t in zip(skips[s].shape, x.shape, stride, strict=False)]
        name = f"decoder.layers.{s}"
        x = norm(state, f"{name}.Upsample.norm", x)
        x = conv_transposed(state, f"{name}.Upsample.up", x, stride=stride, output_padding=extra)
        for b in range(depths[s]):
            skip = skips[s] if b == 0 else None
            x = block(state, f"{name}.blocks.{b}", x, windows[s], b > 0, settings["decoder_heads"][s], skip, **rules)
    token = [a * b for a, b in zip(*settings["stem_strides"], strict=True)]
    return conv_transposed(state, "final.0.up", x, stride=token).permute(3, 0, 1, 2), skips
