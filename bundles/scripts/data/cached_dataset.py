"""Cases preprocessed once."""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from torch.utils.data import Dataset
from tqdm import tqdm

from ..errors import InputError, brief_message, ran_out_of_memory
from ..processes import rank_and_size
from ..transforms.foreground import FOREGROUND
from .code import preprocessing_code
from .reading import as_list, stamp
from .store import DamagedEntryError, is_intact, open_entry, read_whole, save_entry

T = TypeVar("T")


class CachedDataset(Dataset):
    """Cases whose deterministic transforms are computed once and kept on disk.

    A file of the cache is named for the case's dictionary, the transforms' settings and the code that reads and
    transforms, so another spacing, another file or another release is another entry. Items are plain tensors, names
    and numbers; an image's affine is kept as `<key>_affine`.
    Processes may share a folder: entries appear whole, and two that compute the same one write the same.

    Args:
        data: one dictionary per case, as the preprocessing takes it; it may be empty, as MONAI Label's validation part
            is of two submitted labels, and is warned of then.
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
            logging.getLogger(__name__).warning("no cases are given to validate or predict: this is left out")
        self.data = list(data)
        self.transform = transform
        # taken before any transform ran, since some keep traces of the file they saw last
        kept = [] if cache_dir is None else transform.flatten().transforms
        code = "" if cache_dir is None else preprocessing_code()
        self.settings = pickle.dumps([code, *((type(t).__name__, vars(t)) for t in kept)])
        self.item_transform = item_transform
        self.cache_dir = None if cache_dir is None else Path(cache_dir)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return case `index`."""
        item = self.preprocessed(index)
        return item if self.item_transform is None else self.item_transform(item)

    def prepare(self) -> None:
        """Preprocess all cases that the cache lacks or holds damaged; of several processes each does its share."""
        if self.cache_dir is None:
            return
        rank, processes = rank_and_size()
        self._fill_cache(range(rank, len(self), processes))
        if processes > 1:
            torch.distributed.barrier()

    def preprocessed(self, index: int) -> dict[str, Any]:
        """Return case `index` after the deterministic transforms, from the cache where it is there."""
        return self.read(index, _whole)

    def read(self, index: int, reader: Callable[[dict[str, Any]], T]) -> T:
        """Return what `reader` makes of case `index`.

        Args:
            index: of the case.
            reader: takes the item; what it holds of the cache is on disk until `read_box` or `read_whole` read it.

        Returns:
            What `reader` returned; it is called once more if the first time the entry turned out to be damaged.
        """
        if self.cache_dir is None:
            return reader(self._compute(index))
        path = self._cache_file(index)
        if path.exists():
            try:
                return reader(open_entry(path))
            except DamagedEntryError as error:
                logging.getLogger(__name__).warning("%s; doing so now", error)
        save_entry(self._compute(index), path)
        return reader(open_entry(path))

    def _fill_cache(self, share: range) -> None:
        quiet = share.start > 0  # the first process shows its progress for all
        # the one time per run that every checksum is compared; later readings trust what they can decompress
        missing = [
            index
            for index in tqdm(share, desc="checking the cache", unit="case", disable=quiet or None, leave=False)
            if not is_intact(self._cache_file(index))
        ]
        if missing:
            logging.getLogger(__name__).info(
                "preprocessing %d of %d cases into %s%s",
                len(missing),
                len(share),
                self.cache_dir,
                f"; {share.step - 1} more processes do as many each" if share.step > 1 else "",
            )
        for index in tqdm(missing, desc="preprocessing", unit="case", disable=quiet or not missing):
            save_entry(self._compute(index), self._cache_file(index))

    def _compute(self, index: int) -> dict[str, Any]:
        case = self.data[index]
        try:
            item = self.transform(dict(case))
        except Exception as error:  # whatever it is, only the case's name leads to its cause
            name = case.get("case", case.get("image"))
            advice = "" if ran_out_of_memory(error) else ": correct its files or leave it out"
            raise InputError(f"case {name} cannot be preprocessed ({brief_message(error)}){advice}") from error
        plain: dict[str, Any] = {}
        for key, value in item.items():
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
        return self.cache_dir / f"{hashlib.sha256(key).hexdigest()[:32]}.zip"


def _whole(item: dict[str, Any]) -> dict[str, Any]:
    volumes = {key: value for key, value in item.items() if key != FOREGROUND}
    return {key: read_whole(value) if hasattr(value, "ndim") else value for key, value in volumes.items()}
