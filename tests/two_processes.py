"""A run of a bundle in two processes, as `torchrun` has it: `python -m tests.two_processes run --config_file ...`.

The processes are forks of this one, so that neither has to import.
"""

from __future__ import annotations

import runpy

from torch.distributed.launcher.api import LaunchConfig, elastic_launch


def run() -> None:
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    standalone = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
    elastic_launch(LaunchConfig(1, 1, nproc_per_node=2, max_restarts=0, start_method="fork", **standalone), run)()
