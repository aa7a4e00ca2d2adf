import torch
from torch import nn

from scripts.networks import recompute


class Recomputed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.GELU()) for _ in range(2))

    def forward(self, tokens):
        for layer in self.layers:
            tokens = recompute.run(layer, tokens, checkpointing=True)
        return tokens


def test_what_is_computed_again_can_be_compiled():
    torch.manual_seed(0)
    network, tokens = Recomputed(), torch.randn(3, 4)
    expected = torch.autograd.grad(network(tokens).sum(), network.parameters())
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(torch.autograd.grad(compiled(tokens).sum(), network.parameters()), expected)
