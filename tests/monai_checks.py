"""What MONAI itself asks of a bundle: that it verifies, exports, and has the properties of its workflow."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.warm_runs import run_warm

TINY = "['configs/inference.json','configs/tiny.json']"


def check_export(bundle: Path, weights: Path, num_channels: int, work: Path) -> None:
    """Assert that a bundle with its `tiny` preset verifies, and that its TorchScript gives what the network gives.

    Args:
        bundle: its folder.
        weights: its checkpoint.
        num_channels: of its input.
        work: folder to write to.
    """
    size = json.loads((bundle / "configs" / "tiny.json").read_text())["patch_size"]
    shape = [1, num_channels, *size]
    image = torch.randn(shape)
    torch.save(image, work / "in.pt")
    run_python(
        "import torch\n"
        "from monai.bundle import ConfigParser, ckpt_export, verify_net_in_out\n"
        f"config = {{'meta_file': 'configs/metadata.json', 'config_file': {TINY}}}\n"
        # some networks take one size only, and the metadata state the default's
        f"stated = {{'_meta_#network_data_format#inputs#image#spatial_shape': {size}}}\n"
        "verify_net_in_out('network_def', **config, **stated)\n"
        f"ckpt_export('network_def', {str(work / 'model.ts')!r}, {str(weights)!r}, **config,\n"
        f"    key_in_ckpt='model', use_trace=True, input_shape={shape})\n"
        f"parser = ConfigParser(ConfigParser.load_config_files({TINY}))\n"
        "network = parser.get_parsed_content('network_def').eval()\n"
        f"network.load_state_dict(torch.load({str(weights)!r}, weights_only=True)['model'])\n"
        f"torch.save(network(torch.load({str(work / 'in.pt')!r})), {str(work / 'out.pt')!r})\n",
        bundle,
    )
    torch.testing.assert_close(torch.jit.load(work / "model.ts")(image), torch.load(work / "out.pt"))


def check_properties(bundle: Path, workflow: str, data: Path, work: Path) -> None:
    """Assert that MONAI finds every property of a workflow, "train" or "inference".

    Args:
        bundle: its folder.
        workflow: which.
        data: its `dataset_dir`.
        work: folder to write to.
    """
    out = run_python(
        "import sys; sys.path.insert(0, '.')\n"
        "from monai.bundle import ConfigWorkflow\n"
        f"workflow = ConfigWorkflow(['configs/{workflow}.json', 'configs/tiny.json'], 'configs/metadata.json',\n"
        f"    'configs/logging.conf', workflow_type={workflow!r}, dataset_dir={str(data)!r},\n"
        f"    output_dir={str(work)!r}, ckpt_dir={str(work)!r})\n"
        "workflow.initialize()\n"
        "print('missing', workflow.check_properties())\n",
        bundle,
    )
    assert "missing []" in out


def run_python(code: str, cwd: Path) -> str:
    """Run code in a process of its own and return what it prints."""
    done = run_warm(["-c", code], cwd)
    assert done.returncode == 0, done.output
    return done.output
