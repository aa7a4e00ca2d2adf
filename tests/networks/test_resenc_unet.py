import pytest
import torch

from scripts.errors import InputError
from scripts.networks import ResEncUNet, parameter_groups

SMALL = {"features": (4, 6, 8), "num_blocks": (1, 1, 1), "strides": (1, 2, (1, 2, 2))}


def test_deep_supervision_speaks_in_training_only():
    net, image = ResEncUNet(1, 3, deep_supervision=True, **SMALL), torch.zeros(1, 1, 8, 8, 8)
    assert [tuple(out.shape[2:]) for out in net.train()(image)] == [(8, 8, 8), (4, 4, 4)]
    assert net.eval()(image).shape == (1, 3, 8, 8, 8)


@pytest.mark.parametrize("deep_supervision", [False, True])
def test_no_trained_parameter_goes_without_gradient(deep_supervision):
    net = ResEncUNet(1, 3, deep_supervision=deep_supervision, **SMALL)
    outputs = net(torch.randn(1, 1, 8, 8, 8))
    sum(out.square().sum() for out in (outputs if deep_supervision else [outputs])).backward()
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)


def test_a_patch_that_does_not_fit_is_refused_with_one_that_does():
    with pytest.raises(InputError, match=r"\[10, 8, 8\]"):
        ResEncUNet(1, 3, **SMALL)(torch.zeros(1, 1, 9, 8, 9))
    assert ResEncUNet(1, 3, **SMALL)(torch.zeros(1, 1, 10, 8, 8)).shape[2:] == (10, 8, 8)


@pytest.mark.parametrize("first", [2, (1, 1, 2)])
def test_a_first_stage_of_lower_resolution_is_refused(first):
    with pytest.raises(InputError, match="the first stage has the image's resolution"):
        ResEncUNet(1, 1, (4, 4), (1, 1), (first, 2))


def test_a_patch_of_one_bottleneck_voxel_is_refused():
    with pytest.raises(InputError, match="one voxel at this network's bottleneck"):
        ResEncUNet(1, 3, **SMALL)(torch.zeros(1, 1, 2, 4, 4))
    assert ResEncUNet(1, 3, **SMALL)(torch.zeros(1, 1, 4, 4, 4)).shape[2:] == (4, 4, 4)


def test_initialisation_follows_nnunet():
    net = ResEncUNet(1, 3, **SMALL)
    last = net.encoder.stages[1].blocks[0].conv2
    assert (last.norm.weight == 0).all() and (last.conv.bias == 0).all()
    assert (ResEncUNet(1, 3, weight_init="default", **SMALL).encoder.stages[1].blocks[0].conv2.norm.weight == 1).all()


def test_parameter_groups_hold_every_trained_parameter_once():
    net = ResEncUNet(1, 3, **SMALL)
    groups = {group["name"]: [id(p) for p in group["params"]] for group in parameter_groups(net)}
    together = [i for ids in groups.values() for i in ids]
    assert len(together) == len(set(together))
    assert set(together) == {id(p) for p in net.parameters() if p.requires_grad}
    assert set(groups["stem"]) == {id(p) for p in net.encoder.stem.parameters()}
    assert set(groups["stem"] + groups["encoder"]) == {id(p) for p in net.encoder.parameters()}
