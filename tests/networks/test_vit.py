import pytest
import torch
from torch import nn
from torch.nn import functional as F

from scripts.errors import InputError
from scripts.networks import ViT

SMALL = {"patch_size": 4, "hidden_size": 24, "depth": 3, "num_heads": 3}
SIZES = {2: (8, 12), 3: (8, 8, 12)}


def small(dims=3, channels=2, **options):
    torch.manual_seed(0)
    net = ViT(channels, SIZES[dims], **{**SMALL, **options}).double()
    for parameter in net.parameters():
        # zeros and ones of a fresh network would hide mistakes
        nn.init.normal_(parameter, std=0.2)
    return net


def batch(dims=3, visible=4):
    torch.manual_seed(1)
    image = torch.randn(2, 2, *SIZES[dims], dtype=torch.double)
    number = 2 * 3 if dims == 2 else 2 * 2 * 3
    return image, torch.stack([torch.randperm(number)[:visible] for _ in range(2)])


# --- an independent reference: convolution for the patches, attention written out, hidden keys masked ----------------


def reference(net, image, hidden=None, heads=3):
    state = net.state_dict()
    conv = F.conv2d if image.dim() == 4 else F.conv3d
    x = conv(image, state["patch_embedding.weight"], state["patch_embedding.bias"], stride=4).flatten(2).mT
    x = torch.cat([state["class_token"].expand(len(x), -1, -1), x], dim=1) + state["position_embedding"]
    bias = torch.zeros(len(x), 1, 1, x.shape[1], dtype=x.dtype)
    if hidden is not None:
        bias[:, 0, 0, 1:][hidden] = -torch.inf

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + 1e-6)
        return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

    for i in range(len(net.blocks)):
        qkv = linear(norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv")
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=-1))
        weights = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5 + bias, dim=-1)
        x = x + linear((weights @ v).transpose(1, 2).flatten(2), f"blocks.{i}.attn.out_proj")
        inner = linear(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.linear1")
        x = x + linear(0.5 * inner * (1 + torch.erf(inner / 2**0.5)), f"blocks.{i}.mlp.linear2")
    return norm(x, "norm")


@pytest.mark.parametrize("dims", [2, 3])
def test_visible_tokens_equal_a_full_vit_that_does_not_attend_to_the_others(dims):
    net, (image, visible) = small(dims), batch(dims)
    hidden = torch.ones(2, net.position_embedding.shape[1] - 1, dtype=torch.bool).scatter(1, visible, False)
    full = reference(net, image, hidden)
    assert (net(image) - reference(net, image)).abs().max() < 1e-10
    found = net(image, visible)
    for b in range(2):
        assert (found[b, 0] - full[b, 0]).abs().max() < 1e-10
        assert (found[b, 1:] - full[b, 1:][visible[b]]).abs().max() < 1e-10
    assert not torch.allclose(found[:, 0], net(image)[:, 0])


def test_hidden_voxels_leave_the_encoders_output_bit_identical():
    net, (image, visible) = small(), batch()
    hidden = torch.ones(2, 12, dtype=torch.bool).scatter(1, visible, False).view(2, 1, 2, 2, 3)
    hidden = hidden.repeat_interleave(4, 2).repeat_interleave(4, 3).repeat_interleave(4, 4)
    changed = torch.where(hidden, torch.nan, image)
    assert torch.equal(net(image, visible), net(changed, visible))
    assert not torch.equal(net(image, visible), net(torch.where(hidden, image, image + 1), visible))


def test_published_parameter_counts():
    with torch.device("meta"):
        two = ViT(3, (224, 224), positions="learnable")
        three, fixed = ViT(1, (96, 96, 96), positions="learnable"), ViT(1, (96, 96, 96))
    assert sum(p.numel() for p in two.parameters()) == 85_798_656
    blocks = 12 * (4 * 768 + 768 * 3 * 769 + 768 * 769 + 3072 * 769 + 768 * 3073) + 2 * 768
    assert sum(p.numel() for p in three.parameters()) == blocks + 768 * (16**3 + 1) + 768 + 217 * 768
    assert sum(p.numel() for p in three.parameters()) - sum(p.numel() for p in fixed.parameters()) == 217 * 768


def test_states_after_chosen_blocks():
    net, (image, _) = small(), batch()
    first, last, final = net.states(image, after=(0, 2))
    tokens = net.blocks[0](net.embed(image))
    assert torch.equal(first, tokens)
    assert torch.equal(last, net.blocks[2](net.blocks[1](tokens)))
    assert torch.equal(final, net.norm(last)) and torch.equal(final, net(image))


def test_fixed_and_learnable_positions_share_one_name():
    fixed, learnable = ViT(2, SIZES[3], **SMALL), ViT(2, SIZES[3], positions="learnable", **SMALL)
    assert fixed.state_dict().keys() == learnable.state_dict().keys()
    assert torch.equal(fixed.position_embedding, learnable.position_embedding)
    assert (fixed.position_embedding[:, 0] == 0).all()
    assert [n for n, _ in learnable.named_parameters() if n not in dict(fixed.named_parameters())] == [
        "position_embedding"
    ]


def test_drop_path_rises_with_depth_and_is_off_in_evaluation():
    net, (image, _) = small(drop_path=0.2), batch()
    assert [block.drop_path.drop_prob for block in net.blocks] == pytest.approx([0, 0.1, 0.2])
    assert torch.equal(net.eval()(image), small()(image))
    assert not torch.equal(net.train()(image), net.train()(image))


def test_checkpointing_changes_no_gradient():
    plain, thrifty, (image, visible) = small(), small(checkpointing=True), batch()
    for net in (plain, thrifty):
        net.train()(image, visible).square().sum().backward()
    for ours, theirs in zip(plain.parameters(), thrifty.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_initialisation():
    torch.manual_seed(0)
    net = ViT(1, (32, 32, 32), patch_size=8, hidden_size=96, depth=1, num_heads=3)
    for weight, fan in ((net.patch_embedding.weight, 512 + 96), (net.blocks[0].attn.qkv.weight, 96 + 288)):
        bound = (6 / fan) ** 0.5
        assert 0.99 * bound < weight.abs().max() <= bound
    assert (net.blocks[0].mlp.linear1.bias == 0).all() and net.class_token.std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ViT(1, (8, 9, 12), **SMALL), r"patch_size \[8, 9, 12\].*for example \[8, 8, 12\]"),
        (lambda: ViT(1, 96, **SMALL), "two or three numbers"),
        (lambda: ViT(1, (8, 8), **{**SMALL, "num_heads": 5}), "5 heads"),
        (lambda: ViT(1, (8, 8, 8), **{**SMALL, "hidden_size": 27}), "multiple of 6"),
        (lambda: ViT(1, (8, 8), positions="fourier", **SMALL), "sincos, learnable"),
        (lambda: ViT(1, (8, 8), checkpointing="yes", **SMALL), "write True or False"),
        (lambda: small()(torch.zeros(1, 2, 8, 8, 8).double()), r"position table is for \[8, 8, 12\]"),
        (lambda: small().check_patch([8, 8]), "position table"),
    ],
)
def test_what_cannot_work_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
