"""The loss at several resolutions as one mean."""

from __future__ import annotations

from monai.losses import DeepSupervisionLoss


class DeepSupervisionMean(DeepSupervisionLoss):
    """MONAI's deep supervision with weights that sum to 1, as nnFormer has them: of three 4/7, 2/7, 1/7.

    nnU-Net gives the coarsest level none.

    MONAI adds the coarser levels to the finest one, which raises the loss, and with it the learning rate of SGD, by
    nearly 2. The prediction of a network without deep supervision is compared as it is.
    """

    def get_weights(self, levels: int = 1) -> list[float]:
        """Return the weights of so many levels, finest first."""
        weights = super().get_weights(levels)
        return [weight / sum(weights) for weight in weights]
