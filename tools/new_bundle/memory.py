"""How much memory a training step takes at its peak."""

from __future__ import annotations

import re
from typing import Any

from monai.bundle import ConfigParser

from scripts.errors import InputError

from ..measure import GIB, held
from ..render import overlaid

UNITS = {"": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": GIB, "tib": 2**40}
BASE = 0.25 * GIB  # libraries and their buffers
# Beside what backward needs stand gradients of the activations and workspaces of the convolutions. With these numbers
# the model lay 1.03 to 1.35 times above what tools.measure saw of seven networks and patches.
TRANSIENT = 1.3


class Cost:
    """Memory of a training step by its batch size.

    Args:
        train: a bundle's train.json.
        ids: overlay of it, with the patch size.
    """

    def __init__(self, train: dict[str, Any], ids: dict[str, Any]) -> None:
        parser = ConfigParser(overlaid(train, [ids, {"batch_size": 1}], "the plan"))
        self.parameters, self.activations = held(parser)
        copies = 4 if "Adam" in parser["optimizer#_target_"] else 3  # weights, gradients, and one or two moments
        self.fixed = copies * 4 * self.parameters + BASE

    def peak(self, batch_size: int) -> float:
        """Return bytes in float32; mixed precision takes less."""
        return self.fixed + TRANSIENT * self.activations * batch_size

    def largest_batch(self, available: float) -> int:
        """Return the largest batch whose peak is at most `available` bytes, 0 if none is."""
        return max(0, int((available - self.fixed) // (TRANSIENT * self.activations)))


def bytes_of(text: str | int | float) -> float:
    """Read a size such as "8GB", "500 MB" or "7.5GiB"; a plain number is GB.

    Raises:
        InputError: if it is none.
    """
    found = re.fullmatch(r"\s*([\d.]+)\s*([kmgt]?i?b?)\s*", str(text).lower())
    try:
        if not found or float(found[1]) <= 0:
            raise ValueError
        unit = found[2] + ("b" if found[2] and not found[2].endswith("b") else "")
        return float(found[1]) * (UNITS[unit] if unit else 1e9)
    except (ValueError, KeyError):
        raise InputError(f"memory is {text!r}: give the memory to train in, such as 8GB") from None
