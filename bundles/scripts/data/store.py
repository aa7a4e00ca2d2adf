"""One preprocessed case as one file, of which a box can be read without the rest."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import blosc2
import numpy as np
import torch
from torch.nn import functional as F

from ..errors import InputError
from ..files import write_atomically

INDEX = "item.json"
# a chunk is compressed block by block and a box reads the blocks it touches; of the sizes and codecs tried on brain
# scans these read a crop of 160^3 fastest, and one thread each lets the data loader's workers share the processors
CHUNK, BLOCK = 64, 16
COMPRESSION = {"codec": blosc2.Codec.LZ4, "clevel": 1, "filters": [blosc2.Filter.SHUFFLE], "nthreads": 1}
SMALL = 1000  # tensors of up to so many elements stand in the index

Volume: TypeAlias = torch.Tensor | blosc2.NDArray


class DamagedEntryError(InputError):
    """An entry is not what was written."""


def save_entry(item: dict[str, Any], path: Path) -> None:
    """Save a case's tensors, texts and numbers.

    The file is a zip archive that stores its members as they are: an index with everything small, and a Blosc2 array
    of compressed chunks for each large tensor. The archive gives every member a size and a checksum.

    Args:
        item: tensors, str, int and float by key.
        path: the file, which is there whole or not at all.
    """
    large = {key: v for key, v in item.items() if isinstance(v, torch.Tensor) and v.numel() > SMALL}
    index = {key: _described(value) for key, value in item.items() if key not in large}

    def write(name: str) -> None:
        with open(name, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo(INDEX), json.dumps(index))
            for key, tensor in large.items():
                archive.writestr(zipfile.ZipInfo(key), _compressed(tensor.numpy()))

    write_atomically(path, write)


def open_entry(path: Path) -> dict[str, Any]:
    """Open a case without reading its large tensors.

    Args:
        path: what `save_entry` wrote.

    Returns:
        The item, its large tensors as arrays that `read_box` and `read_whole` read from.

    Raises:
        DamagedEntryError: if the file is cut off or does not have the expected content.
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            index = json.loads(archive.read(INDEX))
            offsets = {i.filename: _offset(file, i) for i in archive.infolist() if i.filename != INDEX}
        arrays = {
            key: blosc2.open(str(path), mode="r", offset=offset, mmap_mode="r", dparams={"nthreads": 1})
            for key, offset in offsets.items()
        }
        return {key: _restored(value) for key, value in index.items()} | arrays
    except OSError:
        raise
    except Exception as error:  # where a byte is wrong decides which
        raise _damage(path, error) from error


def is_intact(path: Path) -> bool:
    """Tell whether an entry is there and all of its content agrees with the checksums; reads the whole file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None and INDEX in archive.namelist()
    except FileNotFoundError:
        return False
    except OSError:
        raise
    except Exception:  # where a byte is wrong decides which
        return False


def read_whole(volume: Volume) -> torch.Tensor:
    """Return all of a large tensor, such as an image (C, D, H, W)."""
    return _read(volume, (slice(None),) * volume.ndim)


def read_box(volume: Volume, start: Sequence[int], size: Sequence[int]) -> torch.Tensor:
    """Read a box, zero where it lies outside of the volume.

    Args:
        volume: (C, D, H, W), in memory or of an opened entry.
        start: first voxel per axis, negative if the box begins before the volume.
        size: voxels per axis.

    Returns:
        (C, *size).

    Raises:
        DamagedEntryError: if the volume's file cannot be decompressed.
    """
    sides = list(zip(start, size, volume.shape[1:], strict=True))
    inside = _read(volume, (slice(None), *(slice(max(s, 0), min(s + n, limit)) for s, n, limit in sides)))
    # torch counts from the last axis
    margins = [margin for s, n, limit in reversed(sides) for margin in (max(-s, 0), max(s + n - limit, 0))]
    return F.pad(inside, margins) if any(margins) else inside


def _read(volume: Volume, box: tuple[slice, ...]) -> torch.Tensor:
    try:
        return torch.as_tensor(volume[box])
    except RuntimeError as error:
        if isinstance(volume, torch.Tensor):
            raise
        raise _damage(volume.urlpath, error) from error


def _damage(path: str | Path, error: Exception) -> DamagedEntryError:
    return DamagedEntryError(f"{path} is damaged ({error}): remove it, so that the case is preprocessed again")


def _compressed(values: np.ndarray) -> bytes:
    rank = values.ndim
    chunks, blocks = (
        [1] * (rank - 3) + [min(side, n) for n in values.shape[max(rank - 3, 0) :]] for side in (CHUNK, BLOCK)
    )
    array = blosc2.asarray(np.ascontiguousarray(values), chunks=chunks, blocks=blocks, cparams=COMPRESSION)
    content: bytes = array.to_cframe()
    return content


def _described(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    dtype = str(value.dtype).removeprefix("torch.")
    return {"dtype": dtype, "shape": list(value.shape), "values": value.flatten().tolist()}


def _restored(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return torch.tensor(value["values"], dtype=getattr(torch, value["dtype"])).reshape(value["shape"])


def _offset(file: BinaryIO, member: zipfile.ZipInfo) -> int:
    # a member begins with 30 bytes, its name and further fields, whose lengths the 26th to 29th byte tell
    file.seek(member.header_offset + 26)
    name, further = struct.unpack("<HH", file.read(4))
    return member.header_offset + 30 + int(name) + int(further)
