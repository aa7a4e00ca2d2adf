"""Average networks that were trained from one start: `python -m tools.average <output> <checkpoint> ... [--half True]`.

The mean of the weights of trainings that set out from the same weights is often better than each of them, at the cost
of one (Wortsman et al., Model soups, ICML 2022). Networks of different starts decide together by `tools.ensemble`.
"""

from __future__ import annotations

from pathlib import Path

from scripts.files import check_free, save_tensors

from .alike import mean_of, read_alike
from .cli import cli


def average(output: str, *checkpoints: str, half: bool = False) -> None:
    """Write the mean of the weights of checkpoints of one network, with the plan of the first.

    Args:
        output: file to write, such as `model.pt`.
        checkpoints: one or more, files, bundle folders or bundle zips.
        half: keep floating-point weights in 16 bits; what loads them computes in its own precision.

    Raises:
        InputError: if there is nothing to average, the networks differ or `output` exists.
    """
    check_free(output)
    states, plan = read_alike(checkpoints)
    save_tensors({"model": mean_of(states, half), "plan": plan | {"averaged": len(states)}}, output)
    print(f"{output}: mean of {len(states)}, {Path(output).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    cli(average)
