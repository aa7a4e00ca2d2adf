"""How a network sees a volume."""

from .mirrored import MirroredSlidingWindowInferer
from .patchwise import PatchwiseReconstruction

__all__ = ["MirroredSlidingWindowInferer", "PatchwiseReconstruction"]
