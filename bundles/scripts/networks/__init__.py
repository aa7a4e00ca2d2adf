"""The networks: plain modules of which nothing knows about data, files or training."""

from .device import on_device
from .ensemble import Ensemble
from .grouping import parameter_groups
from .nnformer import NNFormer
from .nnformer_mae import NNFormerMAE
from .resenc_unet import ResEncUNet
from .spark3d import Spark3D
from .unetr import UNETR
from .vit import ViT
from .vit_classifier import ViTClassifier
from .vit_mae import ViTMAE

__all__ = [
    "UNETR",
    "Ensemble",
    "NNFormer",
    "NNFormerMAE",
    "ResEncUNet",
    "Spark3D",
    "ViT",
    "ViTClassifier",
    "ViTMAE",
    "on_device",
    "parameter_groups",
]
