"""Scans from files."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.data import ImageReader
from monai.transforms import LoadImaged

from ..data.scan_reader import ScanReader


class LoadScand(LoadImaged):
    """Read scans by `ScanReader`, so that what it refuses is not read.

    Where the reader that `LoadImaged` was made with raises an error, it goes on to MONAI's own. This is one all the
    same, since MONAI Label looks for it.

    Args:
        keys: of the paths; they become `MetaTensor`s with the file's own axes.
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any], reader: ImageReader | None = None) -> dict[Hashable, Any]:
        """Replace every path by its scan.

        Raises:
            InputError: see `ScanReader`.
        """
        return super().__call__(data, reader or ScanReader())
