"""How much memory a training step takes at its peak, foretold and measured."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from monai.bundle import ConfigParser
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map_only

from scripts.errors import InputError
from scripts.networks import recompute

from .random_step import random_step

GIB = 2**30
UNITS = {"": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": GIB, "tib": 2**40}
BASE = 0.25 * GIB  # libraries and their buffers
# Beside what backward needs stand gradients of the activations and workspaces of the convolutions. With 1.3 the model
# lay at 0.99 to 1.35 of what eight networks and patches took by SGD; 1.4 leaves some room, since the allocator keeps
# more or less of what is free: one small step took 0.61 to 0.67 GiB in five runs, where this says 0.73.
TRANSIENT = 1.4


class Cost:
    """Memory of a training step by its batch size.

    Args:
        parser: a bundle's train config; of a range of mask ratios the lowest counts, which takes most.
    """

    def __init__(self, parser: ConfigParser) -> None:
        parser.update({"batch_size": 1})
        if isinstance(parser.get("mask_ratio"), list):
            parser.update({"mask_ratio": parser["mask_ratio"][0]})
        self.parameters, self.activations = held(parser)
        self.copies = 4 if "Adam" in parser["optimizer#_target_"] else 3  # weights, gradients, and one or two moments
        self.fixed = self.copies * 4 * self.parameters + BASE

    def peak(self, batch_size: int) -> float:
        """Return bytes in float32; mixed precision takes less."""
        return self.fixed + TRANSIENT * self.activations * batch_size

    def largest_batch(self, available: float) -> int:
        """Return the largest batch whose peak is at most `available` bytes, 0 if none is."""
        return max(0, int((available - self.fixed) // (TRANSIENT * self.activations)))


def held(parser: ConfigParser) -> tuple[int, int]:
    """Return the number of parameters, and the bytes of activations (float32) that a step holds for backward.

    With checkpointing that is what stays, and what the largest part holds when it is computed again. Nothing but masks
    is computed: all else is on PyTorch's meta device.
    """
    with torch.device("meta"):
        network: torch.nn.Module = parser.get_parsed_content("network_def")
    inputs, target = random_step(parser, 0, "meta")
    known = {p.untyped_storage()._cdata for p in network.parameters()}
    saved, again = _Saved(), [0]

    def computed_again(function: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        inside = _Saved()
        with inside:
            out = function(*arguments)
        again.append(inside.bytes(known))
        saved.keep(*(argument for argument in arguments if isinstance(argument, torch.Tensor)))
        return out

    with patch.object(recompute, "checkpoint", computed_again), saved, _ValuesMeetMeta():
        parser.get_parsed_content("loss")(network(*inputs), target)
    return sum(p.numel() for p in network.parameters()), saved.bytes(known) + max(again)


class _Saved(saved_tensors_hooks):
    """What autograd keeps for the backward pass."""

    def __init__(self) -> None:
        self.tensors: dict[int, torch.Tensor] = {}  # by place in memory
        super().__init__(self.keep, lambda tensor: tensor)

    def keep(self, *tensors: torch.Tensor) -> torch.Tensor:
        self.tensors.update({tensor.untyped_storage()._cdata: tensor for tensor in tensors})
        return tensors[0]

    def bytes(self, known: set[int]) -> int:
        """Return their bytes, without those at known places."""
        return sum(t.untyped_storage().nbytes() for place, t in self.tensors.items() if place not in known)


class _ValuesMeetMeta(TorchFunctionMode):
    """Lets what follows from a mask be computed, and drops its values where they meet a tensor without."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        tensors = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, torch.Tensor)]
        if any(tensor.is_meta for tensor in tensors) and not all(tensor.is_meta for tensor in tensors):
            args, kwargs = tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
        return func(*args, **(kwargs or {}))


def peak_bytes(device: str, now: bool = False) -> int:
    """Return the most memory that this process had so far, or what it has now."""
    if device.startswith("cuda"):
        return torch.cuda.memory_allocated(device) if now else torch.cuda.max_memory_allocated(device)
    if now:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    # of this program alone; getrusage starts from what its parent held
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024


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
