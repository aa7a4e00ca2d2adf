"""Checkpoints from outside, never unpickled."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputError

MODEL = "models/model.pt"
# nnU-Net, nnFormer and nnssl keep their losses as numpy's numbers; these classes hold values and run no code
SCALAR = np.float64().__reduce__()[0]
NUMBERS: list[Any] = [
    SCALAR,
    (SCALAR, "numpy.core.multiarray.scalar"),  # as numpy before 2 writes it, numpy._core since
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")),
]


def read_checkpoint(source: str | Path) -> dict[str, Any]:
    """Read a checkpoint from a file, a bundle's folder or a bundle's release zip.

    Args:
        source: `*.pt` file, or a folder or zip that holds `models/model.pt`.

    Returns:
        A dictionary with the state dict under "model", and what else the file holds; under "others" those of further
        networks of its kind, which decide together with it.

    Raises:
        InputError: if there is no such file, or it holds no weights.
    """
    path = Path(source)
    if path.is_dir():
        path = path / MODEL
    if not path.is_file():
        raise InputError(
            f"no checkpoint at {path}: train first, or give a .pt file, a bundle's folder or its release zip"
        )
    try:
        with torch.serialization.safe_globals(NUMBERS):
            checkpoint = torch.load(_content(path), map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:
        # torch names many causes; for the user there is one: this file is not a checkpoint that may be loaded
        raise InputError(
            f"{path} is not a readable checkpoint ({type(error).__name__}): give a .pt file of weights"
        ) from error
    if isinstance(checkpoint, dict) and "model" not in checkpoint:
        # other projects save under "state_dict", or nothing but the weights
        checkpoint = {"model": checkpoint.get("state_dict", checkpoint)}
    if not isinstance(checkpoint, dict) or not all(map(_is_state_dict, networks_in(checkpoint))):
        raise InputError(
            f"{path} holds no network weights: expected a state dict, or a dictionary with one under 'model'"
        )
    return checkpoint


def networks_in(checkpoint: dict[str, Any]) -> list[dict[str, torch.Tensor]]:
    """Return the state dicts of a checkpoint's networks, of which there is one unless several decide together."""
    return [checkpoint["model"], *checkpoint.get("others", ())]


def _content(path: Path) -> Path | io.BytesIO:
    """Return the path itself, or the checkpoint inside a release zip (a .pt file is a zip too, without `models/`)."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name == MODEL or name.endswith("/" + MODEL)]
        if not members and path.suffix == ".zip":
            raise InputError(f"{path} holds no {MODEL}: it is a bundle without weights, give one that was trained")
        return io.BytesIO(archive.read(members[0])) if members else path


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(v, torch.Tensor) for v in value.values())
