"""Training draws that follow from seed and step alone, so that a resumed run continues as if it had never stopped."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from monai.transforms import Compose
from torch.utils.data.distributed import DistributedSampler

from ..errors import InputError
from ..processes import rank_and_size
from .absent_labels import absent_labels
from .boxes import RandomBox
from .cached_dataset import CachedDataset

Draw = tuple[int, int]


class SeededDataset(CachedDataset):
    """Cases of which each draw takes one at random and augments it.

    A draw is `(step, position in the global batch)`. It decides case, crop and augmentation together with the seed,
    whatever was drawn before, by which worker, and in how many processes. Where the crop seeks foreground, a case that
    has none gives way to another one.

    Args:
        data: one dictionary per case, as the transforms take it.
        transform: deterministic transforms, whose result is kept.
        random_transform: augments, anew for every draw.
        cache_dir: folder for the preprocessed cases; None computes them anew for every draw.
        seed: of all randomness.
        crop: draws the box that is read of a case; None hands the whole case to `random_transform`.
        labels: values by name, if the cases have some; `prepare` warns of those that no case has.

    Raises:
        InputError: there are no cases.
    """

    def __init__(
        self,
        data: Sequence[dict[str, Any]],
        transform: Compose,
        random_transform: Compose,
        cache_dir: str | None = None,
        seed: int = 0,
        crop: RandomBox | None = None,
        labels: dict[str, int] | None = None,
    ) -> None:
        if not len(data):
            raise InputError("there are no cases to train on: check dataset_dir and the split")
        super().__init__(data, transform, cache_dir=cache_dir)
        self.random_transform = random_transform
        self.seed = seed
        self.crop = crop
        self.labels = labels

    def prepare(self) -> None:
        """Preprocess all cases that the cache lacks, and warn of labels that nothing teaches."""
        super().prepare()
        if not (self.labels and self.cache_dir and rank_and_size()[0] == 0):
            return
        if absent := absent_labels(self, self.labels):
            logging.getLogger(__name__).warning(
                "none of the %d training cases has %s: nothing is learnt of it", len(self), ", ".join(absent)
            )

    def __getitem__(self, index: int | Draw) -> dict[str, Any]:
        """Return one draw; an integer n means draw n of step 0."""
        step, position = index if isinstance(index, tuple) else (0, index)
        rng = np.random.default_rng([self.seed, step, position])
        case, box, augmentation = (int(rng.integers(bound)) for bound in (len(self.data), 2**32, 2**32))
        item = self.preprocessed(case) if self.crop is None else self._cropped(case, box, position)
        self.random_transform.set_random_state(seed=augmentation)
        item = self.random_transform(item)
        # some of MONAI's croppers answer with a list, here of one
        item = item[0] if isinstance(item, list) else item
        return {**item, "step": step, "position": position}

    def _cropped(self, case: int, box: int, position: int) -> dict[str, Any]:
        assert self.crop is not None
        if self.crop.seeks_foreground(position):
            # by the box's seed, so that the draws of all others stay what they are
            others = np.random.default_rng(box).permutation(len(self.data)).tolist()
            for index in dict.fromkeys([case, *others]):
                item = self.read(index, partial(self.crop, seed=box, seek=True))
                if item is not None:
                    return item
        item = self.read(case, partial(self.crop, seed=box))
        assert item is not None
        return item


class StepSampler(DistributedSampler):
    """Yields the draws of one epoch: for every step, this process's share of the global batch.

    It is a `DistributedSampler` because MONAI's engines tell only those which epoch begins; a resumed trainer therefore
    continues with the right draws. In one process it stands for the whole batch.

    Args:
        dataset: the dataset drawn from.
        batch_size: draws per process and step.
        steps_per_epoch: optimiser steps that make an epoch.
    """

    def __init__(self, dataset: SeededDataset, batch_size: int, steps_per_epoch: int) -> None:
        rank, processes = rank_and_size()
        super().__init__(dataset, num_replicas=processes, rank=rank)
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.epoch = 1

    def __iter__(self) -> Iterator[Draw]:
        """Yield (step, position) with steps counted from 1 over the whole training."""
        first = (self.epoch - 1) * self.steps_per_epoch + 1
        for step in range(first, first + self.steps_per_epoch):
            for position in range(self.rank * self.batch_size, (self.rank + 1) * self.batch_size):
                yield step, position

    def __len__(self) -> int:
        return self.steps_per_epoch * self.batch_size
