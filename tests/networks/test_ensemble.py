"""Networks that decide together give the mean of what each gives alone, from one file or several."""

import pytest
import torch
from ignite.engine import Engine

from scripts.checkpoints import load_weights, read_checkpoint
from scripts.errors import InputError
from scripts.files import save_tensors
from scripts.handlers import BundleCheckpointLoader
from scripts.networks import Ensemble, ResEncUNet, on_device
from scripts.networks.ensemble import learned_by
from tools.ensemble import ensemble


def network(seed):
    torch.manual_seed(seed)
    return ResEncUNet(1, 2, features=[4, 8], num_blocks=[1, 1], strides=[1, 2])


def loaded(network, source, **options):
    engine = Engine(lambda engine, batch: None)
    BundleCheckpointLoader(network, source, ensemble=True, **options)(engine)
    return engine.network.eval()


@pytest.fixture
def checkpoints(tmp_path):
    paths = [str(tmp_path / f"fold{seed}.pt") for seed in range(3)]
    for seed, path in enumerate(paths):
        save_tensors(
            {"model": network(seed).state_dict(), "plan": {"trained_on": [f"case{seed}"], "pretrained_on": ["scan"]}},
            path,
        )
    return paths


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("files", [1, 2, 3])
def test_it_is_the_mean_of_its_networks(checkpoints, amp, files, tmp_path):
    image = torch.randn(2, 1, 8, 8, 8)
    if files == 1:
        ensemble(str(tmp_path / "all.pt"), *checkpoints)
        source = str(tmp_path / "all.pt")
    elif files == 2:
        ensemble(str(tmp_path / "two.pt"), *checkpoints[:2])
        source = [str(tmp_path / "two.pt"), checkpoints[2]]
    else:
        source = checkpoints
    together = loaded(on_device(network(9), "cpu", amp), source)
    alone = [on_device(network(seed), "cpu", amp).eval()(image) for seed in range(3)]
    expected = torch.stack(alone).double().mean(0).float()
    torch.testing.assert_close(together(image), expected)
    with torch.no_grad(), torch.autocast("cuda", enabled=False):  # as MONAI's evaluators do, around all windows
        for _ in range(2):
            torch.testing.assert_close(together(image), expected)


def test_mixed_precision_around_it_keeps_no_weights_of_another(checkpoints):
    image = torch.randn(2, 1, 8, 8, 8)
    together = loaded(network(9), checkpoints)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):  # of a GPU, where it is MONAI's evaluator's
        alone = [network(seed).eval()(image).float() for seed in range(3)]
        for _ in range(2):
            torch.testing.assert_close(together(image), torch.stack(alone).mean(0))


def test_one_checkpoint_is_the_network_itself_and_so_is_a_list_of_one(checkpoints):
    one = network(9)
    assert loaded(one, checkpoints[0]) is one and loaded(one, checkpoints[:1]) is one
    assert all(torch.equal(*pair) for pair in zip(one.parameters(), network(0).parameters(), strict=True))


def test_an_engine_that_runs_again_is_given_the_same(checkpoints):
    image = torch.randn(1, 1, 8, 8, 8)
    loader = BundleCheckpointLoader(network(9), checkpoints, ensemble=True)
    engine = Engine(lambda engine, batch: None)
    loader(engine)
    first = engine.network.eval()(image)
    loader(engine)
    assert torch.equal(engine.network.eval()(image), first)


def test_logits_of_half_precision_are_added_in_single_precision():
    class Half(torch.nn.Module):
        weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, image):
            return image.half()

    half = Half()
    found = Ensemble(half, [learned_by(half)] * 3)(torch.full((1, 1, 2, 2, 2), 60000.0))
    assert found.dtype == torch.float32 and torch.all(found == 60000)


def test_what_was_done_to_the_network_holds_for_all(checkpoints):
    image = torch.randn(1, 1, 8, 8, 8)
    compiled = network(9)
    compiled.compile(backend="eager")
    together = loaded(compiled, checkpoints)
    plain = loaded(network(9), checkpoints)
    with torch.no_grad():
        for _ in range(3):  # torch.func.functional_call fails here from the second time on
            torch.testing.assert_close(together(image), plain(image))


@pytest.mark.parametrize("told", [{"channels": ["T2"]}, {"normalization": "HU from -175 to 250"}])
def test_networks_that_see_other_images_do_not_decide_together(tmp_path, told):
    plans = {"mri": {"channels": ["T1"], "normalization": "z-score"}}
    plans |= {"same": plans["mri"] | {"channels": ["t1"]}, "other": plans["mri"] | told}
    paths = [str(tmp_path / f"{name}.pt") for name in plans]
    for seed, (path, plan) in enumerate(zip(paths, plans.values(), strict=True)):
        save_tensors({"model": network(seed).state_dict(), "plan": plan}, path)
    bare = str(tmp_path / "bare.pt")  # as weights from elsewhere are: it tells nothing
    save_tensors({"model": network(9).state_dict()}, bare)
    for silent in ([*paths[:2], bare], [bare, *paths[:2]]):
        assert isinstance(loaded(network(9), silent), Ensemble)
        ensemble(str(tmp_path / "silent.pt"), *silent)
        assert torch.load(tmp_path / "silent.pt", weights_only=True)["plan"]["channels"] in (["T1"], ["t1"])
        (tmp_path / "silent.pt").unlink()
    with pytest.raises(InputError, match=r"other\.pt and .*mri\.pt tell of other channels or intensities"):
        loaded(network(9), [bare, *paths])
    ensemble(str(tmp_path / "both.pt"), *paths[:2])
    with pytest.raises(InputError, match="another network"):
        ensemble(str(tmp_path / "all.pt"), bare, *paths)


def test_what_cannot_be_run_is_refused(checkpoints, tmp_path):
    with pytest.raises(InputError, match=r"checkpoint is \[\]"):
        loaded(network(0), [])
    engine = Engine(lambda engine, batch: None)
    with pytest.raises(InputError, match="list of 3: this task runs one network at a time"):
        BundleCheckpointLoader(network(0), checkpoints)(engine)
    ensemble(str(tmp_path / "all.pt"), *checkpoints)
    with pytest.raises(InputError, match="3 networks that decide together"):
        BundleCheckpointLoader(network(0), tmp_path / "all.pt")(engine)
    with pytest.raises(InputError, match="3 networks"):
        load_weights(network(0), tmp_path / "all.pt")
    for seed in range(3):
        with pytest.raises(InputError, match="trained on 1 of these 1 cases"):
            loaded(network(0), tmp_path / "all.pt", unseen=[f"case{seed}"])
    assert read_checkpoint(tmp_path / "all.pt")["plan"]["pretrained_on"] == ["scan"]
    save_tensors(read_checkpoint(checkpoints[0]) | {"others": [3]}, tmp_path / "bad.pt")
    with pytest.raises(InputError, match="no network weights"):
        loaded(network(0), tmp_path / "bad.pt")
