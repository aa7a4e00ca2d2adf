"""What a training promises: resuming changes nothing, two processes are one with twice the batch."""

import json
import os
import signal
import sys

import pytest
import torch
from ignite.engine import Events
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

BUNDLES = {
    "spark3d_pretrain": "unlabelled",
    "vit_mae_pretrain": "unlabelled",
    "nnformer_mae_pretrain": "unlabelled",
    "hippocampus_segmentation": "labelled",
    "vit_mae_chestxray_pretrain": "xrays",
    "chestxray14_classification": "xrays",
}
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


def losses(folder):
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars("train_loss")}


def weights(folder, name="training_state.pt"):
    return torch.load(folder / "models" / name, weights_only=True)["model"]


def best_metric(folder):
    return torch.load(folder / "models" / "training_state.pt", weights_only=True)["best_metric"]


class Killer:
    """Handler that kills its process at an iteration, as a power cut would."""

    def __init__(self, iteration):
        self.iteration = iteration

    def attach(self, engine):
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=self.iteration), self)

    def __call__(self, engine):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def train(run_bundle, phantoms, xrays, tmp_path):
    data = {"unlabelled": phantoms / "unlabelled", "labelled": phantoms / "labelled", "xrays": xrays}

    def run(bundle, name, *launcher, configs=("train", "tiny"), ends=0, says="", **knobs):
        folder = tmp_path / name
        folders = {"output_dir": folder, "ckpt_dir": folder / "models", "cache_dir": tmp_path / "cache"}
        knobs |= {"dataset_dir": data[BUNDLES[bundle]], **folders}
        done = run_bundle(bundle, configs, *launcher, check=False, **knobs)
        assert done.returncode == ends and says in done.output, done.output[-9000:]
        return folder

    return run


@pytest.mark.slow
@pytest.mark.parametrize("bundle", BUNDLES)
def test_resumed_equals_unbroken_to_the_last_digit(train, tmp_path, bundle):
    unbroken = train(bundle, "unbroken", max_epochs=3)
    steps = len(losses(unbroken))
    # killed in the middle of the second epoch, of which the events are written and the state is not
    killer = {"+train#handlers": [{"_target_": "tests.test_training.Killer", "iteration": steps // 3 + 2}]}
    (tmp_path / "killer.json").write_text(json.dumps(killer))
    killed = {"configs": ("train", "tiny", f"{tmp_path}/killer.json"), "ends": -signal.SIGKILL}
    broken = train(bundle, "broken", max_epochs=3, **killed)
    assert max(losses(broken)) < steps
    assert torch.load(broken / "models/training_state.pt", weights_only=True)["epoch"] == 1
    train(bundle, "broken", max_epochs=3, resume=True)
    assert losses(broken) == losses(unbroken)
    for name in ("training_state.pt", "model.pt", "model_final.pt"):
        one, other = weights(unbroken, name), weights(broken, name)
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.slow
@pytest.mark.parametrize("bundle", BUNDLES)
def test_two_processes_equal_one_with_the_doubled_batch(train, bundle):
    # Adam would blow up the rounding errors of gradients that are zero, those of biases before a norm, to full steps
    groups = {"_target_": "scripts.networks.parameter_groups", "network": "@initial_network"}
    sgd = {"_target_": "torch.optim.SGD", "params": groups, "lr": "@max_lr", "momentum": 0.99}
    knobs = {"optimizer": sgd, "max_lr": 0.1, "batch_size": 2}
    if bundle == "chestxray14_classification":
        knobs["network_def__drop_path"] = 0.0  # paths are dropped by each process for itself
    start = train(bundle, "start", **knobs | {"max_lr": 0})
    one = train(bundle, "one", **knobs)
    knobs |= {"batch_size": 1, "configs": ("train", "multi_gpu_train", "tiny")}
    if bundle == "spark3d_pretrain":
        two = train(bundle, "two", *TORCHRUN, **knobs)
    else:
        two = train(bundle, "two", module="tests.two_processes", **knobs)
    before, after, same = (weights(folder) for folder in (start, one, two))
    for key, value in after.items():
        torch.testing.assert_close(same[key], value, rtol=1e-6, atol=1e-6, msg=key)
    # all but biases before a norm and fixed positions
    assert sum((after[key] - before[key]).abs().max() > 1e-5 for key in after) > 0.75 * len(after)
    assert best_metric(two) == pytest.approx(best_metric(one), rel=1e-5)


def test_the_coarser_levels_are_trained_where_asked(train):
    three = {"features": [4, 6, 8], "num_blocks": [1, 1, 1], "strides": [1, 2, 2]}
    knobs = {f"network_def__{key}": value for key, value in three.items()} | {"max_epochs": 1}
    folder = train("hippocampus_segmentation", "deep", deep_supervision=True, **knobs)
    assert all(0 < loss < 10 for loss in losses(folder).values())
    changed = weights(folder)
    start = weights(train("hippocampus_segmentation", "plain", **knobs))
    coarse = [key for key in changed if ".seg_layers.0." in key]
    assert coarse and all(not torch.equal(changed[key], start[key]) for key in coarse)


@pytest.mark.parametrize(
    ("bundle", "knobs"),
    [("hippocampus_segmentation", {"test_fraction": 0.4}), ("spark3d_pretrain", {"min_val_cases": 1})],
)
def test_a_training_is_not_resumed_with_other_cases(train, bundle, knobs):
    before = weights(train(bundle, "run", max_epochs=1))
    refused = {"ends": 1, "says": "belongs to another training, with cases"}
    folder = train(bundle, "run", max_epochs=2, resume=True, **refused, **knobs)
    after = torch.load(folder / "models" / "training_state.pt", weights_only=True)
    assert after["epoch"] == 1 and all(torch.equal(after["model"][key], value) for key, value in before.items())


def test_scores_on_training_cases_are_refused(train, phantoms, tmp_path):
    names = sorted(path.name.removesuffix(".nii.gz") for path in (phantoms / "labelled" / "imagesTr").glob("*.nii.gz"))
    (tmp_path / "split.json").write_text(json.dumps({"train": names[3:], "test": names[:3]}))
    folder = train("hippocampus_segmentation", "run", max_epochs=1, num_folds=2, split=tmp_path / "split.json")
    marks = torch.load(folder / "models" / "model.pt", weights_only=True)["plan"]["trained_on"]
    assert len(marks) in (2, 3)
    configs = ("train", "evaluate", "tiny")
    scores = folder / "metrics.json"
    refused = {"test_fraction": 0.7, "ends": 1, "says": "was trained on"}
    train("hippocampus_segmentation", "run", configs=configs, num_folds=2, **refused)
    assert not scores.exists()
    train("hippocampus_segmentation", "run", configs=configs, num_folds=2, split=tmp_path / "split.json")
    assert scores.exists()
