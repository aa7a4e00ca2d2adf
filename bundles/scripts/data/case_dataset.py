"""Scans to segment, of which one that cannot be used does not keep the others waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monai.data import Dataset

from ..errors import InputError, brief_message
from .reading import as_list
from .scan_checks import scan_problems

FAILURE = "failure"


class CaseDataset(Dataset):
    """Check and preprocess each scan when its turn comes; what fails says so in place of an image.

    Args:
        data: dicts with `case` and `image`, as `find_scans` returns them.
        transform: the preprocessing.
        num_channels: the network's input channels.
        spacing: in mm, to which the preprocessing resamples.
    """

    def __init__(
        self, data: Sequence[dict[str, Any]], transform: Callable, num_channels: int, spacing: Sequence[float]
    ) -> None:
        super().__init__(data, transform)
        self.num_channels, self.spacing = num_channels, spacing

    def _transform(self, index: int) -> dict[str, Any]:
        """Return the preprocessed case and its `source` (first file or folder), or its name and `failure`."""
        item = self.data[index]
        try:
            problems = list(scan_problems(item, self.num_channels, self.spacing))
            if problems:
                raise InputError("; ".join(problems))
            return {**super()._transform(index), "source": as_list(item["image"])[0]}
        except Exception as error:  # whatever it is, it is this scan's, and the next may be fit
            return {"case": item["case"], FAILURE: brief_message(error)}
