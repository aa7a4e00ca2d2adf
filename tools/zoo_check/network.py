"""The network of a bundle, in a process of its own as the bundle's user has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# runs inside the bundle's folder, which is all that it can import beside the installed packages
PROBE = """
import json, os, sys, tempfile, torch
from monai.bundle import ConfigParser, ckpt_export, verify_net_in_out
from monai.bundle.scripts import _get_fake_spatial_shape
files, shape = json.loads(sys.argv[1])
meta = "configs/metadata.json"
parser = ConfigParser(ConfigParser.load_config_files(files))
tensors = ConfigParser.load_config_file(meta)["network_data_format"]
image = tensors["inputs"]["image"]
stated = shape or list(_get_fake_spatial_shape(image["spatial_shape"]))
shape = [1, image["num_channels"], *stated]
step = "verify_net_in_out"
try:
    # the number of voxels that the metadata leave open is one unit
    override = {"_meta_#network_data_format#inputs#image#spatial_shape": stated}
    verify_net_in_out("network_def", meta_file=meta, config_file=files, **override)
    step = "ckpt_export by tracing"
    network = parser.get_parsed_content("network_def").eval()
    with tempfile.TemporaryDirectory() as folder:
        torch.save(network.state_dict(), f"{folder}/model.pt")
        ckpt_export("network_def", f"{folder}/model.ts", f"{folder}/model.pt", config_file=files, use_trace=True,
                    input_shape=shape)
        script = torch.jit.load(f"{folder}/model.ts")
    if os.path.exists("models/model.pt"):
        from scripts.checkpoints import load_ensemble
        step = "models/model.pt in the network of configs/inference.json"
        inference = ConfigParser(ConfigParser.load_config_files(["configs/inference.json"]))
        load_ensemble(inference.get_parsed_content("network_def"), "models/model.pt", spacing=inference.get("spacing"))
    step = "the traced network"
    image = torch.randn(shape)
    with torch.no_grad():
        torch.testing.assert_close(script(image), network(image), rtol=1e-3, atol=1e-3)
except Exception as error:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    print("FAULT " + " ".join(f"{step}: {type(error).__name__}: {error}".split())[:300])
else:
    print("FINE")
"""


def network_faults(bundle: Path, preset: str | None = None) -> Iterator[str]:
    """Yield why a network does not take and give what the metadata state, or cannot be exported by tracing.

    Args:
        bundle: the bundle's folder.
        preset: overlay of `inference.json` that makes it small; its `patch_size` stands for the stated shape.
    """
    files = [f"configs/{name}.json" for name in ("inference", *([preset] if preset else []))]
    size = json.loads((bundle / files[-1]).read_text())["patch_size"] if preset else None
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps([files, size])],
        cwd=bundle, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if last != "FINE":
        yield last.removeprefix("FAULT ") if last.startswith("FAULT ") else done.stderr.strip()[-300:]
