"""The residual-encoder U-Net of nnU-Net, under the argument names of MONAI."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet
from monai.utils import ensure_tuple
from torch import nn

from ..errors import InputError, check_flags
from ..geometry import is_multiple, nearest_multiple
from .average_pool import AveragePool
from .instance_norm import InstanceNorm


class ResEncUNet(ResidualEncoderUNet):
    """`ResidualEncoderUNet` of dynamic-network-architectures; parameters and state dict are its own, and so nnU-Net's.

    The defaults are ResEnc-L, which the Spark3D paper fixes for every method (Sec. 2; 102 M parameters).

    Args:
        in_channels: image channels.
        out_channels: classes including background, or image channels for a reconstruction.
        features: channels of each stage, from full resolution down.
        num_blocks: residual blocks of each stage.
        strides: downsampling on entering each stage, per axis or one for all.
        deep_supervision: while training, return the predictions of all decoder levels, full resolution first.
        dropout: probability of dropping a channel after the first convolution of each block.
        weight_init: "he" (nnU-Net: He normal, last norm of each block zero) or "default" (PyTorch's, as in the
            reference pretraining).

    Example:
        >>> net = ResEncUNet(1, 3, features=(8, 16), num_blocks=(1, 1), strides=(1, 2))
        >>> net(torch.zeros(1, 1, 16, 16, 16)).shape
        torch.Size([1, 3, 16, 16, 16])
    """

    stem = ("encoder.stem.",)
    head = ("decoder.seg_layers.",)
    no_weight_decay: tuple[str, ...] = ()

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (32, 64, 128, 256, 320, 320),
        num_blocks: Sequence[int] = (1, 3, 4, 6, 6, 6),
        strides: Sequence[int | Sequence[int]] = (1, 2, 2, 2, 2, 2),
        deep_supervision: bool = False,
        dropout: float = 0.0,
        weight_init: str = "he",
    ) -> None:
        check_flags(deep_supervision=deep_supervision)
        if not len(features) == len(num_blocks) == len(strides):
            raise InputError(
                f"features, num_blocks and strides have {len(features)}, {len(num_blocks)} and {len(strides)} entries; "
                "give one entry per stage in each"
            )
        if any(stride != 1 for stride in ensure_tuple(strides[0])):
            raise InputError(f"strides begin with {strides[0]}: the first stage has the image's resolution, give 1")
        if weight_init not in ("he", "default"):
            raise InputError(f"weight_init is {weight_init!r}; allowed are 'he' and 'default'")
        super().__init__(
            input_channels=in_channels,
            n_stages=len(features),
            features_per_stage=list(features),
            conv_op=nn.Conv3d,
            kernel_sizes=3,
            strides=list(strides),
            n_blocks_per_stage=list(num_blocks),
            num_classes=out_channels,
            n_conv_per_stage_decoder=1,
            conv_bias=True,
            norm_op=InstanceNorm,
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            dropout_op=nn.Dropout3d if dropout else None,
            dropout_op_kwargs={"p": dropout} if dropout else None,
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"negative_slope": 1e-2, "inplace": True},
            deep_supervision=deep_supervision,
        )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.num_layers = len(features) + 1
        self.settings = {
            "name": "ResEncUNet",
            "in_channels": in_channels,
            "out_channels": out_channels,
            "features": list(features),
            "num_blocks": list(num_blocks),
            "strides": list(strides),
        }
        if not deep_supervision:
            # the library always builds a head per level; without this DDP would wait for gradients that never come
            self.decoder.seg_layers[:-1].requires_grad_(False)
        if weight_init == "he":
            self.apply(self.initialize)
        for parent in list(self.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.AvgPool3d):  # which the library offers no choice of
                    setattr(parent, name, AveragePool(child.kernel_size))
        for weight in self.parameters():
            # as `InstanceNorm` and `AveragePool` leave features; of one voxel both orders are the same
            if weight.dim() == 5 and weight[0, 0].numel() > 1:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last_3d)

    @property
    def total_strides(self) -> list[tuple[int, int, int]]:
        """Voxels of the input per voxel of each stage, per axis."""
        totals = [(1, 1, 1)]
        for stride in self.encoder.strides:
            last = totals[-1]
            totals.append((last[0] * stride[0], last[1] * stride[1], last[2] * stride[2]))
        return totals[1:]

    def layer_of(self, name: str) -> int:
        """Return a parameter's depth: 0 for the stem, i + 1 for the encoder's stage i, else `num_layers`."""
        if name.startswith(self.stem):
            return 0
        return int(name.split(".")[2]) + 1 if name.startswith("encoder.stages.") else self.num_layers

    def check_patch(self, size: Sequence[int]) -> None:
        """Refuse a patch that cannot be halved down to the bottleneck and back, or to a single voxel there.

        Args:
            size: patch size (D, H, W) in voxels.

        Raises:
            InputError: naming what fits.
        """
        unit = self.total_strides[-1]
        if not isinstance(size, Sequence) or len(size) != 3:
            raise InputError(f"patch_size is {size}: give three numbers of voxels, such as {[8 * u for u in unit]}")
        if not is_multiple(size, unit):
            raise InputError(
                f"patch_size {list(size)} does not fit this network, whose bottleneck is {list(unit)} voxels wide: "
                f"each side must be a multiple of it, for example {nearest_multiple(size, unit)}"
            )
        if list(size) == list(unit):
            raise InputError(
                f"patch_size {list(size)} leaves one voxel at this network's bottleneck, which instance normalisation "
                "makes the same whatever it holds: give at least twice as much along one axis"
            )

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Predict logits.

        Args:
            image: (B, C, D, H, W).

        Returns:
            (B, out_channels, D, H, W), or while training with deep supervision a list of them by level.
        """
        self.check_patch(image.shape[2:])
        outputs = self.decoder(self.encoder(image))
        # only training wants the coarse predictions; inferers, exports and MONAI Label expect one tensor
        return outputs[0] if isinstance(outputs, list) and not self.training else outputs
