"""Exact execution of a masked autoencoder on visible cells alone; `sparse` is the dense reference it equals."""

from .cells import Cells
from .encoder import encode_cells

__all__ = ["Cells", "encode_cells"]
