"""Pictures of where a classifier looks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine, Events
from matplotlib.figure import Figure
from monai.visualize import OcclusionSensitivity
from torch import nn

from ..errors import InputError
from ..files import write_atomically

OVERLAYS = ("occlusion",)


class OcclusionOverlays:
    """Write per image a picture of how much each place adds to the probabilities of its most probable findings.

    A square is greyed to the image's mean and moved over it; what the probability loses is the place's part in it. This
    works for every network and costs as many passes as there are places. Expects decollated output of probabilities.

    Args:
        output_dir: gets `<case>_occlusion.png`.
        network: the classifier (logits).
        labels: the findings' names in order.
        overlay: "occlusion", or None to write nothing.
        square: edge of the square in pixels.
        num_findings: findings shown.
    """

    def __init__(
        self,
        output_dir: str,
        network: nn.Module,
        labels: Sequence[str],
        overlay: str | None = None,
        square: int = 32,
        num_findings: int = 3,
    ) -> None:
        if overlay is not None and overlay not in OVERLAYS:
            raise InputError(f"overlay is {overlay!r}; allowed are {', '.join(OVERLAYS)} and null for none")
        self.folder = Path(output_dir)
        self.labels = list(labels)
        self.overlay = overlay
        self.num_findings = num_findings
        self.occlude = OcclusionSensitivity(
            network, mask_size=square, mode="mean_img", overlap=0.5, verbose=False, activate=torch.sigmoid
        )

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        if self.overlay is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the pictures of this iteration."""
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            image = torch.as_tensor(output["image"])[None]
            with torch.no_grad():
                occluded = torch.as_tensor(self.occlude(image)[0])[0].cpu().numpy()
            probabilities = output["pred"].cpu().numpy()
            figure = self._figure(image[0, 0].cpu().numpy(), probabilities, occluded)
            path = self.folder / f"{item['case']}_{self.overlay}.png"
            write_atomically(path, partial(figure.savefig, dpi=100))
            logging.getLogger(__name__).info("%s: what its findings rest on is in %s", item["case"], path)

    def _figure(self, image: np.ndarray, probabilities: np.ndarray, occluded: np.ndarray) -> Figure:
        """Show the image (H, W) and the losses of probability by (F, H, W) occluded predictions over it."""
        shown = np.argsort(-probabilities)[: self.num_findings]
        losses = probabilities[shown, None, None] - occluded[shown]
        bound = max(float(np.abs(losses).max()), 1e-6)
        figure = Figure(figsize=(3 * (len(shown) + 1), 3.4), layout="constrained")
        axes = figure.subplots(1, len(shown) + 1)
        for axis in axes:
            axis.imshow(image, cmap="gray")
            axis.set(xticks=[], yticks=[])
        for axis, finding, loss in zip(axes[1:], shown, losses, strict=True):
            drawn = axis.imshow(loss, cmap="coolwarm", vmin=-bound, vmax=bound, alpha=0.5)
            axis.set_title(f"{self.labels[finding]} {probabilities[finding]:.2f}")
        figure.colorbar(drawn, ax=axes[-1], label="loss of probability when hidden")
        return figure
