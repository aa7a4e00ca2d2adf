"""The networks: plain modules of which nothing knows about data, files or training."""

from .nnformer import NNFormer
from .nnformer_mae import NNFormerMAE
from .parameter_groups import parameter_groups
from .resenc_unet import ResEncUNet
from .spark3d import Spark3D

__all__ = ["NNFormer", "NNFormerMAE", "ResEncUNet", "Spark3D", "parameter_groups"]
