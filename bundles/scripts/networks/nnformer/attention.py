"""Attention among the tokens of a window, with a learnt bias per relative position."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from .window import coordinates, relative_index


def bias_tables(network: nn.Module) -> tuple[str, ...]:
    """Name the tables of relative positions in a network, which weight decay spares."""
    return tuple(name for name, _ in network.named_parameters() if name.endswith("bias_table"))


class WindowAttention(nn.Module):
    """Multi-head attention with relative position bias.

    Args:
        dim: channels.
        num_heads: heads.
        window: tokens per axis.
        cross: keys and values come from another map than the queries, which are not projected (skip attention).
        quirks: index the bias table as the official code does, see `relative_index`.
    """

    index: torch.Tensor

    def __init__(
        self, dim: int, num_heads: int, window: Sequence[int], cross: bool = False, quirks: bool = False
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = tuple(window)
        self.quirks = quirks
        self.bias_table = nn.Parameter(torch.empty(math.prod(2 * w - 1 for w in window), num_heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)
        self.project = nn.Linear(dim, (2 if cross else 3) * dim)
        self.out = nn.Linear(dim, dim)
        self.register_buffer("index", relative_index(coordinates(window), window, quirks), persistent=False)

    def bias(self, index: torch.Tensor | None = None) -> torch.Tensor:
        """Return the bias (..., heads, N, N) of pairs with table rows `index` (..., N, N); None = of a whole window."""
        return self.bias_table[self.index if index is None else index].movedim(-1, -3)

    def forward(self, context: torch.Tensor, bias: torch.Tensor, query: torch.Tensor | None = None) -> torch.Tensor:
        """Attend within each window.

        Args:
            context: (B, windows, N, C), keys and values, and queries too unless `query` is given.
            bias: added to the logits: (heads, N, N); (windows, heads, N, N); or, with one window, (B, 1, heads, N, N).
            query: (B, windows, N, C).

        Returns:
            (B, windows, N, C).
        """
        windows, heads = context.shape[1], self.num_heads
        parts = list(self.project(context).chunk(2 if query is not None else 3, dim=-1))
        if query is not None:
            parts.insert(0, query.to(parts[0].dtype))
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(2, 3) for part in parts)
        # the fast kernels know one batch axis and one of heads: windows with a bias of their own count as heads
        own = bias.dim() > 3
        axes = (1, 2) if own else (0, 1)
        bias = bias.flatten(-4, -3) if own else bias
        # of a mask the fast kernels of a GPU want the last axis to lie closest together
        bias = bias.to(q.dtype).contiguous()
        bias = bias.expand(1, -1, -1, -1) if bias.dim() == 3 else bias
        out = F.scaled_dot_product_attention(q.flatten(*axes), k.flatten(*axes), v.flatten(*axes), attn_mask=bias)
        out = out.unflatten(axes[0], (windows, heads) if own else (-1, windows))
        return self.out(out.transpose(2, 3).flatten(3))
