"""On what this runs: device, versions, source revision."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version

import torch

from scripts.data.code import code_digest

from .project import ROOT

PACKAGES = ("torch", "monai", "numpy", "nibabel", "pytorch-ignite", "dynamic-network-architectures")


def gpu_name(device: str = "cuda") -> str | None:
    """Name the GPU that `device` means; None for the CPU, or where there is no GPU."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") and torch.cuda.is_available() else None


def device_name() -> str:
    """Name the device on which the bundles will run."""
    return gpu_name() or f"CPU, {os.cpu_count()} cores"


def machine(device: str) -> dict[str, str | int]:
    """Say on what a benchmark on a device was measured."""
    return {
        "machine": gpu_name(device) or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def read_environment() -> dict[str, str]:
    """Say on what this runs: versions, device, source revision."""
    return {
        "device": gpu_name() or "CPU",
        "CPU cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        **versions(),
        "source revision": git_revision() or "not a git checkout",
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide what is computed."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def source_digest() -> str:
    """Return a digest of the code that all bundles run, as it lies in the project folder now."""
    return code_digest(sorted((ROOT / "bundles" / "scripts").rglob("*.py")))


def git_revision() -> str | None:
    """Return the commit of the project folder, marked where files differ from it, or None without git or a commit."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + (" with local changes" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout.strip()
