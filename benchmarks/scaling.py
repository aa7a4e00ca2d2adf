"""What a Spark3D step costs as it grows: `python -m benchmarks.scaling --output scaling.json`.

One setting is varied at a time: execution, decoder, share hidden, patch, batch, processes. Each is measured in
processes of its own, in seconds, in processor seconds (which others on the machine disturb little) and in peak memory.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from scripts.files import save_json
from scripts.losses import MaskedMSELoss
from tools.cli import cli
from tools.memory import peak_bytes

from .example import example
from .pairs import wait
from .spark3d import autocast, network

MIB = 2**20
COLUMNS = ("execution", "decoder", "ratio", "size", "batch_size", "processes")


def main(
    output: str,
    size: int = 96,
    width: float = 0.5,
    cell_size: int = 32,
    ratios: Sequence[float] = (0.6, 0.9),
    sizes: Sequence[int] = (64, 128),
    batch_sizes: Sequence[int] = (2, 4),
    processes: Sequence[int] = (2,),
    repeats: int = 3,
    device: str = "cpu",
) -> None:
    """Measure one patch with three quarters hidden, and each setting that differs from it in one respect.

    Args:
        output: file to write.
        size: voxels per side of the patch.
        width: factor of ResEnc-L's channels.
        cell_size: voxels per side of the mask's cells.
        ratios: shares of hidden cells.
        sizes: other patches, in voxels per side.
        batch_sizes: patches per step, in each process.
        processes: numbers of processes, which share gradients.
        repeats: steps that count, after one that does not.
        device: "cpu" (float32) or "cuda" (bf16 autocast, one GPU per process).
    """
    middle: dict[str, Any] = dict(zip(COLUMNS, ("auto", "full", 0.75, size, 1, 1), strict=True))
    changes: list[dict[str, Any]] = [{}, {"execution": "dense"}, {"decoder": "lean"}]
    changes += [{"ratio": r} for r in ratios]
    changes += [{"size": s, "execution": e} for s in sizes for e in ("auto", "dense")]
    changes += [*({"batch_size": b} for b in batch_sizes), *({"processes": p} for p in processes)]
    rows = []
    for change in changes:
        setting = middle | change
        rows.append(setting | measured(setting, width=width, cell_size=cell_size, repeats=repeats, device=device))
        report = {"width": width, "cell_size": cell_size, "repeats": repeats, "device": device}
        report |= {"threads": torch.get_num_threads(), "torch": torch.__version__, "rows": rows}
        save_json(report, output)
    print(table(rows))


def measured(setting: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Run one setting in fresh processes and return what the first of them found."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = {**setting, **others, "output": f"{folder}/found.json"}
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={setting['processes']}"]
        launcher = launcher if setting["processes"] > 1 else []
        command = [sys.executable, *launcher, "-m", "benchmarks.scaling", "one"]
        command += [f"--{name}={value}" for name, value in arguments.items()]
        environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[1], check=False
        )
        if done.returncode:
            return {"failed": done.stderr.strip().splitlines()[-1]}
        found: dict[str, Any] = json.loads(Path(arguments["output"]).read_text())
        return found


def one(
    output: str,
    execution: str,
    decoder: str,
    ratio: float,
    size: int,
    batch_size: int,
    processes: int,
    width: float,
    cell_size: int,
    repeats: int,
    device: str,
) -> None:
    """Measure steps of one setting in this process; `processes` of them run it together."""
    if device.startswith("cuda"):
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        torch.cuda.set_device(device)
    image, masks = example((size,) * 3, (cell_size,) * 3, [ratio], batch_size, device)
    mask = masks[ratio]
    net = network(width, cell_size, decoder=decoder).to(device)
    net.execution = execution
    if processes > 1:
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    model = DistributedDataParallel(net) if processes > 1 else net
    optimizer = torch.optim.SGD((p for p in net.parameters() if p.requires_grad), 1e-3, 0.99, nesterov=True)
    before, seconds, processor = peak_bytes(device, now=True), [], []
    for _ in range(repeats + 1):
        wait(device)
        began, worked = time.perf_counter(), time.process_time()
        with autocast(image):
            loss = MaskedMSELoss()(model(image, mask), (image, mask))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        wait(device)
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - worked)
    if os.environ.get("RANK", "0") == "0":
        found = {
            "seconds": round(statistics.median(seconds[1:]), 3),
            "processor_seconds": round(statistics.median(processor[1:]), 3),
            "peak_memory_mib": (peak_bytes(device) - before) // MIB,
        }
        save_json(found, output)
    if processes > 1:
        dist.destroy_process_group()


def table(rows: list[dict[str, Any]]) -> str:
    """Render the measurements as Markdown."""
    names = [*COLUMNS, "seconds", "processor_seconds", "peak_memory_mib"]
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + " --- |" * len(names)]
    for row in rows:
        lines.append("| " + " | ".join(str(row.get(name, row.get("failed"))) for name in names) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    cli(one, sys.argv[2:]) if sys.argv[1:2] == ["one"] else cli(main)
