import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # kernels run on CPUs; read when Triton is imported, which MONAI does
os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start

import importlib
import json
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest

from tests.warm_runs import run_cold, run_warm
from tools.phantom_xrays import make_xrays
from tools.phantoms import make_phantoms
from tools.prepare.prepare import prepare
from tools.project import ROOT
from tools.release import main as release

LONG_FILES = ("test_runs", "test_real_scans", "test_training", "test_bad_input")


def pytest_collection_modifyitems(items):
    """Begin with the files that take minutes, of which none shall be left to one worker at the end."""
    items.sort(key=lambda item: item.path.stem not in LONG_FILES)


@pytest.fixture(scope="session")
def own_modules():
    """The modules of `scripts` that the tests imported."""
    return {name: module for name, module in sys.modules.items() if (name + ".").startswith("scripts.")}


@pytest.fixture(autouse=True)
def keep_own_modules(own_modules, monkeypatch):
    """Put them back after a test in which a bundle's copy took their place, or their classes no longer pickle."""
    monkeypatch.setattr(sys, "path", list(sys.path))  # which such a bundle leads with its own folder
    yield
    if sys.modules.get("scripts") is not own_modules["scripts"]:
        for name in [name for name in sys.modules if (name + ".").startswith("scripts.")]:
            del sys.modules[name]
        sys.modules.update(own_modules)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """Generated scans: `unlabelled/` and `labelled/` in MSD layout."""
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    make_phantoms(str(folder), num_unlabelled=6, num_labelled=8)
    return folder


@pytest.fixture(scope="session")
def xrays(tmp_path_factory):
    """Generated X-rays in the layout of the ChestX-ray14 release."""
    folder = tmp_path_factory.mktemp("data") / "xrays"
    make_xrays(str(folder))
    return folder


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    """What unpacking the release zips of all bundles gives."""
    folder = tmp_path_factory.mktemp("release")
    release(output_dir=str(folder))
    for archive in folder.glob("*.zip"):
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def card():
    """Return a function that reads a bundle's card."""
    return lambda name: json.loads((ROOT / "bundles" / name / "card.json").read_text())


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    """Return a function that prepares a generated release for a bundle and gives the folder of its labelled cases."""

    @cache
    def data(name):
        dataset, folder = name.rpartition("_")[0], tmp_path_factory.mktemp(name)
        write_release = importlib.import_module(f"tests.releases.{dataset}").write_release
        # registration takes its time
        source = write_release(folder / "release", **({"num_cases": 3} if dataset == "hanseg" else {}))
        prepare(dataset, source, folder / "data")
        return folder / "data"

    return data


@pytest.fixture(scope="session")
def real_data_or_none():
    """Return the folder of real images, if there is one."""
    folder = Path(os.environ.get("MAE_DATA", ROOT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def real_data(real_data_or_none):
    """Return the folder of real images, or skip."""
    if real_data_or_none is None:
        pytest.skip("no real images here (environment variable MAE_DATA)")
    return real_data_or_none


@pytest.fixture(scope="session")
def run_bundle():
    """Return a function that runs a bundle as its user does, warm or by what starts Python, and tells how it ended."""

    def run(bundle, configs, *launcher, cwd=None, check=True, module="monai.bundle", **knobs):
        root = Path(bundle) if os.sep in str(bundle) else ROOT / "bundles" / bundle
        files = [name if os.sep in str(name) else str(root / "configs" / f"{name}.json") for name in configs]
        arguments = [text for key, value in knobs.items() for text in (f"--{key.replace('__', '#')}", str(value))]
        command = [module, "run", "--config_file", str(files), "--bundle_root", str(root), *arguments]
        cwd = cwd or root.parent
        done = run_cold(command, cwd, *launcher) if launcher else run_warm(command, cwd)
        assert not check or done.returncode == 0, done.output[-9000:]
        return done

    return run
