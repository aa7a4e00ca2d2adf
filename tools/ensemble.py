"""Put networks that decide together into one file: `python -m tools.ensemble <output> <checkpoint> ... [--half True]`.

Inference and evaluation of segmentation take the file as they take that of one network, and so do releases: the five
folds of nnU-Net, for example, as one model. Fine-tuning, TorchScript and MONAI Label take the first of them.
"""

from __future__ import annotations

from pathlib import Path

from scripts.errors import InputError
from scripts.files import check_free, save_tensors

from .alike import mean_of, read_alike
from .cli import cli


def ensemble(output: str, *checkpoints: str, half: bool = False) -> None:
    """Write all networks of checkpoints into one, with the plan of the first.

    Args:
        output: file to write, such as `model.pt`.
        checkpoints: two or more networks, in files, bundle folders or bundle zips.
        half: keep floating-point weights in 16 bits; what loads them computes in its own precision.

    Raises:
        InputError: if there are fewer than two networks, they differ, or `output` exists.
    """
    check_free(output)
    states, plan = read_alike(checkpoints)
    if len(states) < 2:
        raise InputError(f"one network cannot decide together: give more checkpoints than {checkpoints[0]}")
    first, *others = [mean_of([state], half) for state in states]
    save_tensors({"model": first, "others": others, "plan": plan}, output)
    print(f"{output}: {len(states)} networks, {Path(output).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    cli(ensemble)
