"""Two processes with half a batch each do what one does with the whole, and wait for no gradient that never comes."""

import os
import subprocess
import sys

import pytest
import torch

from tools.project import ROOT

SCRIPT = """
import sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from scripts.losses import MaskedMSELoss
from scripts.networks import NNFormer, NNFormerMAE, ResEncUNet, Spark3D, UNETR, ViTClassifier, ViTMAE

OPTIONS = {"patch_size": 4, "hidden_size": 24, "depth": 2, "num_heads": 2}
SIZE = (8, 8, 8)
NETWORKS = {
    "mae": lambda: ViTMAE(1, SIZE, 12, 1, 2, checkpointing=True, **OPTIONS),
    "unetr": lambda: UNETR(1, 3, SIZE, feature_size=2, drop_path=0.0, **OPTIONS),
    "classifier": lambda: ViTClassifier(1, 5, SIZE, drop_path=0.0, **OPTIONS),
    "spark3d_mae": lambda: Spark3D(ResEncUNet(1, 1, (4, 6, 8), (1, 2, 1), (1, 2, 2), weight_init="default")),
    "spark3d_lean_mae": lambda: Spark3D(ResEncUNet(1, 1, (4, 6, 8), (1, 1, 1), (1, 2, 2)), decoder="lean"),
    "nnformer": lambda: nnformer(),
    "nnformer_supervised": lambda: nnformer(deep_supervision=True),
    "nnformer_sparse_mae": lambda: NNFormerMAE(nnformer(), "sparse", None, 12, 1, 2),
    "nnformer_dense_mae": lambda: NNFormerMAE(nnformer(checkpointing=True), "dense", None, 12, 1, 2),
}


def nnformer(**options):
    shape = {"embed_dim": 12, "num_heads": (1, 2, 3), "depths": (2, 1, 1), "windows": (2, 4, 2), "stem_strides": (1, 1)}
    return NNFormer(1, 3, down_strides=(2, 2), drop_path=0.0, **shape, **options)


dist.init_process_group("gloo")
mine = slice(2 * dist.get_rank(), 2 * dist.get_rank() + 2)
torch.manual_seed(0)
image = torch.randn(4, 1, *SIZE)
mask = torch.stack([torch.randperm(8) < 6 for _ in range(4)]).view(4, 1, 2, 2, 2)


def step(network, part):
    network.zero_grad()
    if name.endswith("mae"):
        outputs = [network(image[part], mask[part])]
        loss = MaskedMSELoss()(outputs[0], (image[part], mask[part]))
    else:
        outputs = network(image[part])
        outputs = outputs if isinstance(outputs, list) else [outputs]
        loss = sum((output - 1).square().mean() for output in outputs)
    loss.backward()
    return outputs[0].detach()


found = {}
for name, make in NETWORKS.items():
    torch.manual_seed(1)
    network = make()
    whole = step(network, slice(None))
    wanted = {key: p.grad.clone() for key, p in network.named_parameters() if p.requires_grad}
    wrapped = DistributedDataParallel(network)
    for _ in range(2):
        half = step(wrapped, mine)
    errors = [(p.grad - wanted[key]).abs().max().item() for key, p in network.named_parameters() if key in wanted]
    found[name] = {"features": (half - whole[mine]).abs().max().item(), "gradients": max(errors)}
torch.save(found, f"{sys.argv[1]}/rank{dist.get_rank()}.pt")
dist.barrier()  # a thread of gloo that still lets go of a tensor while Python ends aborts the process
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    (tmp_path / "step.py").write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "bundles")}
    command = [*launcher, str(tmp_path / "step.py"), str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(2):
        for name, errors in torch.load(tmp_path / f"rank{rank}.pt").items():
            assert max(errors.values()) < 1e-5, (name, errors)
