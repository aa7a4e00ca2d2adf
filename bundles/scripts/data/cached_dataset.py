"""Cases preprocessed once."""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from torch.utils.data import Dataset
from tqdm import tqdm

from ..errors import InputError
from ..files import save_tensors
from .reading import as_list, stamp


class CachedDataset(Dataset):
    """Cases whose deterministic transforms are computed once and kept on disk.

    A file of the cache is named for the case's dictionary and the transforms' settings, so another spacing or another
    file is another entry. Items are plain tensors, names and numbers; an image's affine is kept as `<key>_affine`.

    Args:
        data: one dictionary per case, as the preprocessing takes it.
        transform: deterministic transforms, whose result is kept.
        item_transform: applied to every item afterwards, its result is not kept.
        cache_dir: folder for the preprocessed cases; None computes them each time.
    """

    def __init__(
        self,
        data: Sequence[dict[str, Any]],
        transform: Compose,
        item_transform: Compose | None = None,
        cache_dir: str | None = None,
    ) -> None:
        if not len(data):
            raise InputError("this part of the data has no cases: check dataset_dir and the split")
        self.data = list(data)
        self.transform = transform
        # taken before any transform ran, since some keep traces of the file they saw last
        kept = [] if cache_dir is None else transform.flatten().transforms
        self.settings = pickle.dumps([(type(t).__name__, vars(t)) for t in kept])
        self.item_transform = item_transform
        self.cache_dir = None if cache_dir is None else Path(cache_dir)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return case `index`."""
        item = self.preprocessed(index)
        return item if self.item_transform is None else self.item_transform(item)

    def prepare(self) -> None:
        """Preprocess all cases that the cache lacks, showing progress; of several processes the first does it."""
        if self.cache_dir is None:
            return
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        if not distributed or torch.distributed.get_rank() == 0:
            self._fill_cache()
        if distributed:
            torch.distributed.barrier()

    def preprocessed(self, index: int) -> dict[str, Any]:
        """Return case `index` after the deterministic transforms, from the cache where it is there."""
        if self.cache_dir is None:
            return self._compute(index)
        path = self._cache_file(index)
        if not path.exists():
            save_tensors(self._compute(index), path)
        # memory-mapped: a crop reads the pages it needs, not the volume
        return torch.load(path, weights_only=True, mmap=True)

    def _fill_cache(self) -> None:
        missing = [i for i in range(len(self)) if not self._cache_file(i).exists()]
        if missing:
            logging.getLogger(__name__).info(
                "preprocessing %d of %d cases into %s", len(missing), len(self), self.cache_dir
            )
        for index in tqdm(missing, desc="preprocessing", unit="case", disable=not missing):
            self.preprocessed(index)

    def _compute(self, index: int) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, value in self.transform(dict(self.data[index])).items():
            if isinstance(value, MetaTensor):
                plain[f"{key}_affine"] = torch.as_tensor(np.asarray(value.affine))
                plain[key] = value.as_tensor().contiguous()
            elif isinstance(value, (torch.Tensor, str, int, float)):
                plain[key] = value
        return plain

    def _cache_file(self, index: int) -> Path:
        assert self.cache_dir is not None
        item = self.data[index]
        if "stamp" not in item:
            # a list from elsewhere, such as MONAI Label's, whose files may be replaced under the same names
            item = {**item, "stamp": stamp([path for key in ("image", "label") for path in as_list(item.get(key, []))])}
        key = pickle.dumps(sorted(item.items())) + self.settings
        return self.cache_dir / f"{hashlib.sha256(key).hexdigest()[:32]}.pt"
