"""Which labels no case has, so that no network can learn them."""

from __future__ import annotations

from typing import Any

from ..transforms.foreground import FOREGROUND
from .cached_dataset import CachedDataset
from .store import read_box


def absent_labels(dataset: CachedDataset, labels: dict[str, int]) -> list[str]:
    """Name the labels, except 0, that none of the preprocessed cases has, reading a voxel of each class.

    Args:
        dataset: with `ForegroundVoxelsd` at the end of its preprocessing.
        labels: values by name.

    Returns:
        Names, in the order of `labels`; cases after the last label was found are not read.
    """
    missing = {value: name for name, value in labels.items() if value != 0}
    for index in range(len(dataset)):
        for value in dataset.read(index, _values):
            missing.pop(value, None)
        if not missing:
            break
    return list(missing.values())


def _values(item: dict[str, Any]) -> set[int]:
    firsts = [voxels[0] for voxels in item[FOREGROUND]]
    return {int(read_box(item["label"], [int(n) for n in first], (1, 1, 1))) for first in firsts}
