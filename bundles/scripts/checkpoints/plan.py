"""What a user of pretrained weights would otherwise have to guess."""

from __future__ import annotations

from typing import Any


class Plan:
    """The pretraining's settings, kept in its checkpoint beside the weights.

    Args:
        settings: plain values only, such as architecture, spacing (mm), normalisation and patch size (voxels).
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def state_dict(self) -> dict[str, Any]:
        """Return the settings as what a checkpoint stores."""
        return dict(self.settings)
