"""Windows, shifts, padding, bias and skip attention against loops over single tokens, in float64."""

import pytest
import torch
from torch.func import functional_call

from scripts.networks.nnformer.blocks import Block
from scripts.networks.nnformer.window import coordinates, merge, partition, relative_index, separation
from tests.networks.nnformer import naive

NAMES = {"attention.bias_table": "attn.relative_position_bias_table", "attention.out": "attn.proj"}
NAMES |= {"mlp.linear1": "mlp.fc1", "mlp.linear2": "mlp.fc2"}


def random_block(cross=False, **settings):
    torch.manual_seed(0)
    block = Block(4, 2, cross=cross, **settings).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    state = {f"x.{k}": v for k, v in block.state_dict().items()}
    for ours, official in {**NAMES, "attention.project": "attn.kv" if cross else "attn.qkv"}.items():
        state = {k.replace(ours, official): v for k, v in state.items()}
    return block, state


@pytest.mark.parametrize("cross", [False, True], ids=["self", "skip"])
@pytest.mark.parametrize(
    ("grid", "window", "shifted", "rules"),
    [
        ((4, 4, 2), (2, 2, 2), False, {}),
        ((4, 4, 2), (2, 2, 2), True, {}),
        ((3, 4, 5), (2, 2, 3), False, {}),
        ((3, 4, 5), (2, 2, 3), True, {}),
        ((5, 4, 4), (3, 3, 4), True, {}),
        ((2, 3, 2), (2, 3, 2), True, {}),
        ((3, 4, 5), (2, 2, 3), True, {"quirks": True}),
        ((3, 4, 5), (2, 2, 3), True, {"quirks": True, "shift_mask": False}),
    ],
    ids=["windows", "shift", "padding", "padding-shift", "one-axis-covered", "global", "quirks", "quirks-no-mask"],
)
def test_block_equals_a_loop_over_tokens(grid, window, shifted, rules, cross):
    block, state = random_block(window=window, shifted=shifted, cross=cross, **rules)
    x = torch.randn(2, *grid, 4).double()
    skip = torch.randn(2, *grid, 4).double() if cross else None
    found = block(x, skip)
    for b in range(2):
        other = None if skip is None else skip[b]
        expected = naive.block(state, "x", x[b], window, shifted, 2, other, **rules)
        assert (found[b] - expected).abs().max() < 1e-10


def test_scattered_tokens_attend_to_each_other_by_true_position():
    window = (3, 2, 4)
    block, state = random_block(window=window)
    x = torch.randn(3, 2, 4, 4).double()
    places = coordinates(window)[torch.randperm(24)[:7]]
    tokens = x[tuple(places.T)]
    found = block.forward_tokens(tokens[None], relative_index(places[None], window))[0]
    normed = naive.norm(state, "x.norm1", tokens)
    projected = normed @ state["x.attn.qkv.weight"].T + state["x.attn.qkv.bias"]
    q, k, v = projected.split(4, dim=-1)
    for t in range(7):
        rows = [naive.table_row(tuple((places[t] - p).tolist()), window, False) for p in places]
        mixed = naive.attend(q[t], k, v, rows, state["x.attn.relative_position_bias_table"], 2)
        y = tokens[t] + mixed @ state["x.attn.proj.weight"].T + state["x.attn.proj.bias"]
        hidden = naive.gelu(naive.norm(state, "x.norm2", y) @ state["x.mlp.fc1.weight"].T + state["x.mlp.fc1.bias"])
        y = y + hidden @ state["x.mlp.fc2.weight"].T + state["x.mlp.fc2.bias"]
        assert (found[t] - y).abs().max() < 1e-10


def test_all_tokens_scattered_are_global_attention():
    window = (3, 2, 4)
    block, _ = random_block(window=window)
    x = torch.randn(2, 3, 2, 4, 4).double()
    order = torch.stack([torch.randperm(24) for _ in range(2)])
    tokens = torch.stack([x[b].flatten(0, 2)[order[b]] for b in range(2)])
    found = block.forward_tokens(tokens, relative_index(coordinates(window)[order], window))
    expected = torch.stack([block(x)[b].flatten(0, 2)[order[b]] for b in range(2)])
    assert (found - expected).abs().max() < 1e-12


@pytest.mark.parametrize("cross", [False, True], ids=["self", "skip"])
def test_gradients_of_input_and_parameters(cross):
    block, _ = random_block(window=(2, 2, 2), shifted=not cross, cross=cross)
    x = torch.randn(1, 3, 2, 4, 4).double().requires_grad_()
    skip = (torch.randn(1, 3, 2, 4, 4).double().requires_grad_(),) if cross else ()
    table = block.attention.bias_table.detach().clone().requires_grad_()

    def run(table, *inputs):
        return functional_call(block, {"attention.bias_table": table}, inputs)

    assert torch.autograd.gradcheck(run, (table, x, *skip))


def test_padding_changes_nothing_and_gets_nothing():
    """A grid of one window and a bit: what lies in the padded window attends as in a window of its own size."""
    block, _ = random_block(window=(2, 2, 2))
    x = torch.randn(1, 3, 2, 2, 4).double()
    alone, _ = random_block(window=(1, 2, 2))
    weights = block.state_dict()
    # offsets of zero along the first axis are the middle third of the table
    weights["attention.bias_table"] = weights["attention.bias_table"].view(3, 9, 2)[1]
    alone.load_state_dict(weights)
    assert (block(x)[:, 2:] - alone(x[:, 2:])).abs().max() < 1e-12


def test_partition_and_merge():
    x = torch.arange(2 * 4 * 6 * 2).view(2, 4, 6, 2, 1)
    windows = partition(x, (2, 3, 2))
    assert windows.shape == (2, 4, 12, 1)
    assert torch.equal(windows[1, 3].view(2, 3, 2), x[1, 2:, 3:, :, 0])
    assert torch.equal(merge(windows, (2, 3, 2), (4, 6, 2)), x)


def test_correct_index_gives_each_offset_its_own_row():
    for window, rows in (((4, 4, 4), 343), ((8, 8, 8), 3375), ((3, 5, 5), 405), ((2, 3, 4), 105)):
        index = relative_index(coordinates(window), window)
        offsets = coordinates(window)[:, None] - coordinates(window)[None]
        assert len(index.unique()) == len(offsets.flatten(0, 1).unique(dim=0)) == rows
        pairs = torch.cat([index.flatten()[:, None], offsets.flatten(0, 1)], dim=1).unique(dim=0)
        assert len(pairs) == rows and index.min() == 0 and index.max() == rows - 1


def test_official_index_reaches_few_rows():
    for n, reached in ((4, 115), (8, 547)):
        assert len(relative_index(coordinates((n,) * 3), (n,) * 3, quirks=True).unique()) == reached


def test_official_index_of_a_small_window_by_hand():
    """Window 2: (dz + 1) * 5 + (dy + 1) * 3 + (dx + 1)."""
    expected = [
        [9, 8, 6, 5, 4, 3, 1, 0],
        [10, 9, 7, 6, 5, 4, 2, 1],
        [12, 11, 9, 8, 7, 6, 4, 3],
        [13, 12, 10, 9, 8, 7, 5, 4],
        [14, 13, 11, 10, 9, 8, 6, 5],
        [15, 14, 12, 11, 10, 9, 7, 6],
        [17, 16, 14, 13, 12, 11, 9, 8],
        [18, 17, 15, 14, 13, 12, 10, 9],
    ]
    assert relative_index(coordinates((2, 2, 2)), (2, 2, 2), quirks=True).tolist() == expected


def test_nothing_is_kept_apart_without_shift_and_padding():
    assert separation((4, 4, 4), (2, 2, 2), (0, 0, 0)) is None
    assert separation((3, 4, 4), (2, 2, 2), (0, 0, 0), padded=False) is None
    assert separation((4, 4, 4), (2, 2, 2), (1, 1, 1), wrapped=False) is None
    apart = separation((4, 2, 2), (2, 2, 2), (1, 0, 0))
    assert apart.shape == (2, 8, 8) and (apart[0] == 0).all()
    assert (apart[1, :4, :4] == 0).all() and (apart[1, :4, 4:] == -100).all()


@pytest.mark.parametrize("shifted", [False, True])
def test_biases_lie_as_the_fast_kernels_of_a_gpu_want_them(monkeypatch, shifted):
    """Otherwise attention falls back to one that multiplies in single precision, without a word."""
    seen, attend = [], torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *parts, attn_mask: (seen.append(attn_mask), attend(*parts, attn_mask=attn_mask))[1],
    )
    block, _ = random_block(window=(2, 2, 2), shifted=shifted)
    block(torch.randn(1, 4, 4, 2, 4).double())
    places = torch.tensor([[[0, 0, 0], [1, 0, 1], [1, 1, 1]]])
    block.forward_tokens(torch.randn(1, 3, 4).double(), relative_index(places, (2, 2, 2), False))
    assert len(seen) == 2 and all(mask.stride(-1) == 1 for mask in seen)
