"""Exact execution of a masked autoencoder on visible cells alone; `sparse` is the dense reference it equals."""

from .cells import Cells
from .decoder import decode_cells
from .encoder import encode_cells
from .filling import Filling

__all__ = ["Cells", "Filling", "decode_cells", "encode_cells"]
