import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from scripts.losses import MaskedMSELoss
from scripts.networks import ResEncUNet, Spark3D


@pytest.mark.parametrize("checkpointing", [False, True])
def test_no_parameter_goes_unused_in_distributed_training(tmp_path, checkpointing):
    """A second step fails if the first left a parameter without gradient."""
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    try:
        torch.manual_seed(0)
        unet = ResEncUNet(1, 1, (4, 6, 8), (1, 1, 1), (1, 2, 2))
        net = Spark3D(unet, cell_size=(2, 2, 2), mask_input=False, checkpointing=checkpointing)
        take_two_steps(net)
        assert all(p.grad is not None for p in net.parameters() if p.requires_grad)
    finally:
        dist.destroy_process_group()


def take_two_steps(net):
    """Train in a function of its own: a `DistributedDataParallel` that outlives its process group may wait for ever."""
    parallel, image = DistributedDataParallel(net), torch.randn(2, 1, 8, 8, 8)
    for _ in range(2):
        mask = torch.rand(2, 1, 4, 4, 4) < 0.75
        MaskedMSELoss()(parallel(image, mask), (image, mask)).backward()
