"""The networks: plain modules of which nothing knows about data, files or training."""

from .parameter_groups import parameter_groups
from .resenc_unet import ResEncUNet
from .spark3d import Spark3D
from .vit import ViT
from .vit_mae import ViTMAE

__all__ = ["ResEncUNet", "Spark3D", "ViT", "ViTMAE", "parameter_groups"]
