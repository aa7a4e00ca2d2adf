"""Bundles whose packages are all named `scripts`, in one process: each runs its own code, or none."""

from __future__ import annotations

import json
import textwrap
import zipfile
from pathlib import Path

import pytest

from tests.monai_checks import run_python
from tools.release import main as release

PREAMBLE = """
import inspect, json, sys
from pathlib import Path
from monai.bundle import create_workflow, load

def workflow(place, **knobs):
    bundle = Path(place)
    files = [str(path) for part in ("inference", "tiny") if (path := bundle / "configs" / f"{part}.json").exists()]
    return create_workflow(config_file=files, workflow_type="inference", bundle_root=place, **knobs)

def home(thing):
    return Path(inspect.getfile(type(thing))).resolve().relative_to(Path.cwd().resolve()).parts[0]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three folders: a release, a later one of another bundle with other code, and a bundle from elsewhere."""
    folder = tmp_path_factory.mktemp("side_by_side")
    release("hippocampus_segmentation", "acdc_segmentation", output_dir=str(folder / "dist"))
    for name, place in (("hippocampus_segmentation", "first"), ("acdc_segmentation", "second")):
        with zipfile.ZipFile(next((folder / "dist").glob(f"{name}_v*.zip"))) as archive:
            archive.extractall(folder)
        (folder / name).rename(folder / place)
    later = folder / "second" / "scripts" / "inferers" / "mirrored.py"
    later.write_text(later.read_text() + "\n\nMirroredSlidingWindowInferer.only_in_the_later_version = True\n")
    write_foreign(folder / "foreign")
    return folder


def write_foreign(bundle: Path) -> None:
    """A bundle as the model zoo has them, with a `scripts` of its own that has names of ours."""
    (bundle / "configs").mkdir(parents=True)
    (bundle / "scripts").mkdir()
    (bundle / "scripts" / "__init__.py").write_text("")
    (bundle / "scripts" / "networks.py").write_text(
        "from torch import nn\n\n\nclass ResEncUNet(nn.Identity):\n    pass\n"
    )
    config = {
        "imports": ["$import sys"],
        "bundle_root": ".",
        "network_def": {"_target_": "scripts.networks.ResEncUNet"},
        "initialize": ["$sys.path.insert(0, @bundle_root)"],
        "run": ["$print('ran', @network_def.__class__.__module__)"],
    }
    (bundle / "configs" / "inference.json").write_text(json.dumps(config))


def run(folder: Path, code: str) -> str:
    return run_python(PREAMBLE + textwrap.dedent(code), folder)


def test_two_versions_take_turns(folder):
    out = run(
        folder,
        """
        first, second = workflow("first"), workflow("second")
        assert home(first.network_def) == "first"
        assert home(second.network_def) == "second"
        third, fourth = workflow("first"), workflow("second")
        for one, place in ((third, "first"), (fourth, "second"), (workflow("first"), "first")):
            assert home(one.network_def) == home(one.inferer) == place, place
        assert hasattr(fourth.inferer, "only_in_the_later_version")
        assert not hasattr(third.inferer, "only_in_the_later_version")
        print("all at home")
        """,
    )
    assert "all at home" in out


def test_what_was_created_first_runs_its_own_code_afterwards(folder, labelled):
    scans = {"first": labelled("hippocampus_segmentation"), "second": labelled("acdc_segmentation")}
    run(
        folder,
        f"""
        import torch
        for place in ("first", "second"):
            one = workflow(place)
            Path(place, "models").mkdir(exist_ok=True)
            torch.save({{"model": one.network_def.state_dict()}}, f"{{place}}/models/model.pt")
            one.finalize()
        assert not [name for name in sys.modules if name.split(".")[0] == "scripts"]
        scans = { ({place: str(next((path / "imagesTr").glob("*.nii.gz"))) for place, path in scans.items()})!r}
        both = [workflow(place, dataset_dir=scans[place], output_dir=f"out/{{place}}") for place in ("first", "second")]
        for one, place in zip(both, ("first", "second")):
            one.run()
            assert home(one.evaluator.network) == home(one.inferer) == home(one.handlers[0]) == place
            assert hasattr(one.inferer, "only_in_the_later_version") == (place == "second")
            one.finalize()
        """,
    )
    for place in scans:
        assert list((folder / "out" / place).rglob("*.nii.gz"))


@pytest.mark.parametrize("places", [("foreign", "first", "foreign"), ("first", "foreign", "second")])
def test_a_foreign_bundle_before_and_after(folder, places):
    out = run(
        folder,
        f"""
        for place in {places!r}:
            one = workflow(place)
            assert home(one.network_def) == place, place
            if place == "foreign":
                one.run()
            else:
                one.finalize()
        print("all at home")
        """,
    )
    assert "all at home" in out and "ran scripts.networks" in out


def test_weights_load_into_the_network_of_their_own_version(folder):
    out = run(
        folder,
        """
        import torch
        for place in ("first", "second"):
            network = workflow(place).network_def
            Path(place, "models").mkdir(exist_ok=True)
            torch.save({"model": network.state_dict()}, f"{place}/models/loaded.pt")
            tiny = json.loads(Path(place, "configs", "tiny.json").read_text())
            override = {key.split("#")[1]: value for key, value in tiny.items() if key.startswith("network_def#")}
            sys.path.insert(0, place)  # `load` knows no bundle_root
            found = load(place, bundle_dir=".", workflow_type="inference", model_file="models/loaded.pt",
                key_in_ckpt="model", source="github", net_override=override)
            assert home(found) == place
            assert all(torch.equal(a, b) for a, b in zip(found.parameters(), network.parameters(), strict=True))
        print("all at home")
        """,
    )
    assert "all at home" in out
