"""nnFormer (arXiv 2109.03201): a segmentation network of windowed and global attention with convolutions between."""

from .network import NNFormer

__all__ = ["NNFormer"]
