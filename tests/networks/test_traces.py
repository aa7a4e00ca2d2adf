"""What is traced on a CPU runs elsewhere; where no GPU is, the device of tensors without content stands in for it."""

import pytest
import torch

from scripts.networks import UNETR, NNFormer, ResEncUNet

WINDOWS = {"embed_dim": 12, "num_heads": (1, 2, 3, 6), "windows": (2, 2, 4, 2), "stem_strides": (2, 1)}
NETWORKS = {
    "nnformer": lambda: NNFormer(1, 3, **WINDOWS),
    "resenc": lambda: ResEncUNet(1, 3, features=(4, 8), num_blocks=(1, 1), strides=(1, 2)),
    "unetr": lambda: UNETR(1, 3, (32, 32, 32), feature_size=2, hidden_size=12, depth=12, num_heads=2),
}


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_trace_holds_no_tensor_of_the_device_that_it_was_made_on(name):
    network, image = NETWORKS[name]().eval(), torch.randn(1, 1, 32, 32, 32)
    with torch.no_grad():
        traced = torch.jit.trace(network, image).to("meta")
        assert traced(image.to("meta")).shape == (1, 3, 32, 32, 32)
