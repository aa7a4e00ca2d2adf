"""Memory of segmenting many classes, in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

from tools.project import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "target"),
    [((192, 192, 96), (0.8, 0.8, 2.0)), ((192, 192, 96), (1.0, 1.0, 2.0)), ((320, 320, 24), (0.8, 0.8, 2.0))],
    ids=["resampled", "as it is", "thinner than the patch"],
)
def test_many_classes_need_their_logits_once_and_little_else(tmp_path, size, target):
    classes, patch = 31, 64
    knobs = {"size": size, "classes": classes, "patch_size": (patch,) * 3, "target": target, "half_above_gib": 0.01}
    arguments = [f"--{name}={value}" for name, value in {"output": tmp_path / "report.json", **knobs}.items()]
    # glibc keeps freed blocks below a threshold that grows by use; a fixed one gives every large tensor back at once,
    # so that the peak is what is alive together
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
    command = [sys.executable, "-m", "benchmarks.inference", *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    report = json.loads((tmp_path / "report.json").read_text())
    voxels = size[0] * size[1] * size[2]
    logits, single, window = 2 * classes * voxels, 4 * voxels, 4 * classes * patch**3
    # half-precision logits, a dozen volumes of one class (two of them in double precision), a few windows;
    # softmax, inversion and argmax of everything at once take 12 * classes * voxels bytes and more
    bound = logits + 16 * single + 3 * window
    assert bound < 12 * classes * voxels / 2
    assert (report["peak_gib"] - report["gib_before"]) * 2**30 < bound and report["labels"] > 2
