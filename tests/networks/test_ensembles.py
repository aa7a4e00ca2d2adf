"""Networks that decide together give the mean of what each gives alone."""

import pytest
import torch
from ignite.engine import Engine

from scripts.errors import InputError
from scripts.files import save_tensors
from scripts.handlers import BundleCheckpointLoader
from scripts.networks import Ensemble, ResEncUNet, ensemble, on_device


def network(seed):
    torch.manual_seed(seed)
    return ResEncUNet(1, 2, features=[4, 8], num_blocks=[1, 1], strides=[1, 2])


@pytest.fixture
def checkpoints(tmp_path):
    paths = [tmp_path / f"fold{seed}.pt" for seed in range(3)]
    for seed, path in enumerate(paths):
        save_tensors({"model": network(seed).state_dict(), "plan": {}}, path)
    return paths


@pytest.mark.parametrize("amp", [False, True])
def test_it_is_the_mean_of_its_networks(checkpoints, amp):
    image = torch.randn(2, 1, 8, 8, 8)
    together = on_device(ensemble(network(9), checkpoints), "cpu", amp).eval()
    BundleCheckpointLoader(together, checkpoints)(Engine(lambda engine, batch: None))
    alone = [on_device(network(seed), "cpu", amp).eval()(image) for seed in range(3)]
    torch.testing.assert_close(together(image), torch.stack(alone).double().mean(0).float())


def test_one_checkpoint_is_the_network_itself_and_a_list_of_one_the_same():
    alone = network(0)
    assert ensemble(alone, "model.pt") is alone
    image = torch.randn(1, 1, 8, 8, 8)
    assert torch.equal(Ensemble(alone, 1).eval()(image), alone.eval()(image))


def test_lists_that_cannot_be_run_are_refused(checkpoints):
    with pytest.raises(InputError, match="empty list"):
        ensemble(network(0), [])
    with pytest.raises(InputError, match="3 checkpoints for 1 network"):
        BundleCheckpointLoader(network(0), checkpoints)(Engine(lambda engine, batch: None))
