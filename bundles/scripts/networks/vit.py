"""The vision transformer of the masked autoencoders, for images of two or three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.blocks import MLPBlock, SABlock
from monai.networks.layers import Conv, DropPath
from torch import nn
from torch.nn import functional as F

from ..errors import InputError, check_flags
from ..geometry import is_multiple, nearest_multiple
from ..pretraining.patches import patchify, take_patches
from .positions import sincos_positions
from .recompute import run

POSITIONS = ("sincos", "learnable")


class Block(nn.Module):
    """A pre-norm transformer block of MONAI's parts, under the names of its `TransformerBlock`.

    That block itself always owns an unused norm for cross-attention, for whose gradient DDP would wait.

    Args:
        hidden_size: channels of a token.
        num_heads: of the attention.
        drop_path: probability of skipping either half, per sample.
    """

    def __init__(self, hidden_size: int, num_heads: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden_size, eps=1e-6)
        self.attn = SABlock(hidden_size, num_heads, qkv_bias=True, use_flash_attention=True)
        self.norm2 = nn.LayerNorm(hidden_size, eps=1e-6)
        self.mlp = MLPBlock(hidden_size, 4 * hidden_size)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Transform tokens (B, n, hidden_size)."""
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens)))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens)))


class ViT(nn.Module):
    """ViT encoder with a class token, which can be run on some of the image's patches only.

    The defaults are ViT-B/16 (He et al., CVPR 2022; SelfMedMAE, Sec. 3): LayerNorm eps 1e-6, biases for q, k, v.

    Args:
        in_channels: image channels.
        image_size: voxels per axis, two or three; the position table fixes it.
        patch_size: voxels of a patch, per axis or one number for all.
        hidden_size: channels of a token.
        depth: number of blocks.
        num_heads: of the attention; they share the channels equally.
        positions: "sincos" (fixed, pretraining) or "learnable" (starts from sin-cos, fine-tuning); the class token's
            row starts from zero. The state dict is the same.
        drop_path: probability of skipping a block's half, rising linearly from 0 to this value with depth.
        checkpointing: while training, forget activations inside the blocks and compute them again, for memory.

    Example:
        >>> net = ViT(1, (32, 32, 32), patch_size=16, hidden_size=12, depth=1, num_heads=2)
        >>> net(torch.zeros(2, 1, 32, 32, 32), torch.tensor([[0, 5, 7], [1, 2, 3]])).shape
        torch.Size([2, 4, 12])
    """

    position_embedding: torch.Tensor

    def __init__(
        self,
        in_channels: int,
        image_size: Sequence[int],
        patch_size: int | Sequence[int] = 16,
        hidden_size: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        positions: str = "sincos",
        drop_path: float = 0.0,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        check_flags(checkpointing=checkpointing)
        if positions not in POSITIONS:
            raise InputError(f"positions is {positions!r}; allowed are {', '.join(POSITIONS)}")
        if not isinstance(image_size, Sequence) or len(image_size) not in (2, 3):
            raise InputError(f"patch_size is {image_size}: give the network two or three numbers of voxels")
        check_heads(hidden_size, num_heads)
        self.in_channels = in_channels
        self.image_size = tuple(image_size)
        self.patch_size = (patch_size,) * len(image_size) if isinstance(patch_size, int) else tuple(patch_size)
        if len(self.patch_size) != len(image_size) or not is_multiple(image_size, self.patch_size):
            raise InputError(
                f"patch_size {list(image_size)} does not fit this network, whose tokens are {list(self.patch_size)} "
                f"voxels wide: each side must be a multiple of it{_nearest(self.image_size, self.patch_size)}"
            )
        self.grid = tuple(n // p for n, p in zip(self.image_size, self.patch_size, strict=True))
        self.hidden_size = hidden_size
        self.checkpointing = checkpointing
        self.settings: dict[str, Any] = {
            "in_channels": in_channels,
            "image_size": list(self.image_size),
            "patch_size": list(self.patch_size),
            "hidden_size": hidden_size,
            "depth": depth,
            "num_heads": num_heads,
        }
        self.class_token = nn.Parameter(torch.zeros(1, 1, hidden_size))
        table = torch.cat([torch.zeros(1, 1, hidden_size), sincos_positions(self.grid, hidden_size)], dim=1)
        if positions == "learnable":
            self.position_embedding = nn.Parameter(table)
        else:
            self.register_buffer("position_embedding", table)
        self.patch_embedding = Conv[Conv.CONV, len(self.grid)](
            in_channels, hidden_size, kernel_size=self.patch_size, stride=self.patch_size
        )
        rates = [drop_path * number / max(depth - 1, 1) for number in range(depth)]
        self.blocks = nn.ModuleList(Block(hidden_size, num_heads, rate) for rate in rates)
        self.norm = nn.LayerNorm(hidden_size, eps=1e-6)
        nn.init.normal_(self.class_token, std=0.02)
        nn.init.xavier_uniform_(self.patch_embedding.weight.data.view(hidden_size, -1))
        self.apply(initialize_linear)

    def check_patch(self, size: Sequence[int]) -> None:
        """Refuse an image of another size (voxels per axis) than the position table's.

        Raises:
            InputError: naming the size that fits.
        """
        if tuple(size) != self.image_size:
            raise InputError(
                f"patch_size {list(size)} does not fit this network, whose position table is for "
                f"{list(self.image_size)} voxels: give patches of that size, or build the network for yours"
                f"{_nearest(size, self.patch_size)}"
            )

    def forward(self, image: torch.Tensor, visible: torch.Tensor | None = None) -> torch.Tensor:
        """Encode an image.

        Args:
            image: (B, C, *size).
            visible: (B, k) numbers of the patches to see, in C order of the grid; None = all.

        Returns:
            (B, 1 + k, hidden_size) after the final norm, the class token first, then the patches as in `visible`.
        """
        return self.states(image, visible)[-1]

    def states(
        self, image: torch.Tensor, visible: torch.Tensor | None = None, after: Sequence[int] = ()
    ) -> list[torch.Tensor]:
        """Encode an image as `forward`, and return the tokens after the blocks numbered (from 0) in `after` as well.

        Returns:
            One (B, 1 + k, hidden_size) for each of `after` without a norm, then the final tokens.
        """
        tokens = self.embed(image, visible)
        found: dict[int, torch.Tensor] = {}
        for number, block in enumerate(self.blocks):
            tokens = run(block, tokens, checkpointing=self.checkpointing)
            if number in after:
                found[number] = tokens
        return [*(found[number] for number in after), self.norm(tokens)]

    def embed(self, image: torch.Tensor, visible: torch.Tensor | None = None) -> torch.Tensor:
        """Return the tokens (B, 1 + k, hidden_size) that enter the first block."""
        self.check_patch(image.shape[2:])
        patches, places = patchify(image, self.patch_size), self.position_embedding[:, 1:]
        if visible is not None:
            patches, places = take_patches(patches, visible), take_patches(places, visible)
        # a convolution as wide as its stride is a linear map of patches, and as such never meets a hidden one
        weight = self.patch_embedding.weight.movedim(1, -1).flatten(1)
        tokens = F.linear(patches, weight, self.patch_embedding.bias) + places
        token = self.class_token + self.position_embedding[:, :1]
        return torch.cat([token.expand(image.shape[0], -1, -1).to(tokens.dtype), tokens], dim=1)


class ViTNetwork(nn.Module):
    """A network whose `encoder` is a `ViT`, as patch checks, weight transfer and layer-wise learning rates see it.

    Args:
        encoder: the ViT.
    """

    stem = ("encoder.patch_embedding.",)
    head = ("decoder.head.",)
    no_weight_decay: tuple[str, ...] = ("encoder.class_token", "encoder.position_embedding")

    def __init__(self, encoder: ViT) -> None:
        super().__init__()
        self.encoder = encoder
        self.in_channels = encoder.in_channels
        self.num_layers = len(encoder.blocks) + 1

    def check_patch(self, size: Sequence[int]) -> None:
        """Refuse an image of another size (voxels per axis) than the encoder's, see `ViT.check_patch`."""
        self.encoder.check_patch(size)

    def layer_of(self, name: str) -> int:
        """Return a parameter's depth: 0 for patches, token and positions, i + 1 for block i, else `num_layers`."""
        if name.startswith((*self.stem, "encoder.class_token", "encoder.position_embedding")):
            return 0
        return int(name.split(".")[2]) + 1 if name.startswith("encoder.blocks.") else self.num_layers


def initialize_linear(module: nn.Module) -> None:
    """Start a linear layer from Xavier-uniform weights and no bias."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def check_heads(hidden_size: int, num_heads: int) -> None:
    """Refuse heads that cannot share the channels equally."""
    if hidden_size % num_heads:
        raise InputError(f"{num_heads} heads cannot share a hidden size of {hidden_size}: give a multiple of the heads")


def _nearest(size: Sequence[int], unit: Sequence[int]) -> str:
    """Return the advice of a size that fits, where one can be given."""
    return f", for example {nearest_multiple(size, unit)}" if len(size) == len(unit) else ""
