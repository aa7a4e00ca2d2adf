import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events

from scripts.errors import InputError
from scripts.handlers import StopOnDivergence, TrainingCheckpoint
from tools.project import ROOT

FILES = ["model.pt", "model_final.pt", "training_state.pt"]
PROCESS = """
import gc
import json
import sys
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from scripts.errors import InputError
from tests.handlers.test_training_checkpoint import Run

dist.init_process_group("gloo")
rank = dist.get_rank()


def epochs(folder, cases="5 + 2", batch_size=3, trained=DistributedDataParallel, **options):
    dist.barrier()  # the first process writes the last state after the other one has ended
    settings = {"cases": cases, "batch_size": batch_size}
    try:
        return Run(f"{sys.argv[1]}/{folder}", settings=settings, trained=trained, **options)(rank).epochs
    except InputError as error:
        return str(error)


found = {
    "first": epochs("shared", max_epochs=2),
    "resumed": epochs("shared", max_epochs=3, resume=True),
    "own_folders": epochs("shared" if rank == 0 else "other", max_epochs=4, resume=True),
    "other_cases": epochs("cases", cases=f"{5 - rank} + 2"),
    "own_networks": epochs("shared", trained=lambda network: network),
    "of_one_process": epochs("one", max_epochs=2, resume=True),
    "twice_the_batch": epochs("one", max_epochs=3, batch_size=6, resume=True),
    "diverged_in_one": epochs("diverged", losses={3: float("nan")} if rank else {}),
}
with open(f"{sys.argv[1]}/rank{rank}.json", "w") as file:
    json.dump(found, file)
gc.collect()  # a `DistributedDataParallel` that outlives its process group may wait for ever
dist.barrier()
dist.destroy_process_group()
"""


class Run:
    """A training whose weight is the number of its epochs so far, and whose validations bring what they are told."""

    def __init__(
        self,
        folder,
        max_epochs=3,
        best_epochs=(),
        seed=0,
        momentum=0.9,
        trained=lambda network: network,
        losses=None,
        accumulation_steps=1,
        **options,
    ):
        self.network = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.network.weight)
        optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1, momentum=momentum)
        self.evaluator = SimpleNamespace(state=SimpleNamespace(best_metric=-1, best_metric_epoch=-1))
        losses = losses or {}  # by step, 1.0 where nothing is said
        self.engine = Engine(lambda engine, batch: {"loss": torch.tensor(losses.get(engine.state.iteration, 1.0))})
        self.engine.scaler, self.engine.accumulation_steps = None, accumulation_steps
        self.engine.network = trained(self.network)
        self.max_epochs = max_epochs
        self.epochs = []

        def step(engine):
            self.epochs.append(engine.state.epoch)
            with torch.no_grad():
                self.network.weight += 1
            if engine.state.epoch in best_epochs:
                self.evaluator.state.best_metric, self.evaluator.state.best_metric_epoch = 0.5, engine.state.epoch

        self.engine.add_event_handler(Events.EPOCH_COMPLETED, step)
        StopOnDivergence().attach(self.engine)
        options = {"plan": {"patch_size": [8, 8, 8]}, "settings": {"seed": seed}, **options}
        TrainingCheckpoint(str(folder), self.network, optimizer, self.evaluator, **options).attach(self.engine)

    def __call__(self, rank=0):
        self.engine.state.rank = rank
        self.engine.run([0, 1], max_epochs=self.max_epochs)
        return self


def weight(path):
    return torch.load(path, weights_only=True)["model"]["weight"].item()


def names(folder):
    return sorted(path.name for path in folder.glob("*"))


def test_best_final_and_last(tmp_path):
    Run(tmp_path, best_epochs=[2])()
    assert names(tmp_path) == FILES
    assert [weight(tmp_path / name) for name in FILES] == [2, 3, 3]
    assert torch.load(tmp_path / "model.pt", weights_only=True)["plan"] == {"patch_size": [8, 8, 8]}


def test_the_plan_tells_what_trained_the_network_and_what_it_started_from(tmp_path):
    Run(tmp_path, trained_on=["b"], seen_before={"trained_on": ["a", "b"], "pretrained_on": ["c"]})()
    for name in ("model.pt", "model_final.pt"):
        plan = torch.load(tmp_path / name, weights_only=True)["plan"]
        assert plan == {"patch_size": [8, 8, 8], "trained_on": ["a", "b"], "pretrained_on": ["c"]}
    Run(tmp_path, pretrained_on=["d", "c"])()
    plan = torch.load(tmp_path / "model.pt", weights_only=True)["plan"]
    assert plan == {"patch_size": [8, 8, 8], "pretrained_on": ["c", "d"]}


def test_without_validation_the_final_model_is_the_best(tmp_path):
    Run(tmp_path)()
    assert [weight(tmp_path / name) for name in FILES] == [3, 3, 3]


def test_a_best_metric_that_is_no_number_counts_for_nothing(tmp_path):
    run = Run(tmp_path)
    run.evaluator.state.best_metric, run.evaluator.state.best_metric_epoch = float("nan"), 1
    run()
    assert weight(tmp_path / "model.pt") == 3


def test_a_training_that_diverges_leaves_the_files_of_the_epoch_before(tmp_path):
    with pytest.raises(InputError, match=r"step 3 \(epoch 2\) the loss is NaN"):
        Run(tmp_path, best_epochs=[1, 2], losses={3: float("nan")})()
    assert names(tmp_path) == ["model.pt", "training_state.pt"]
    assert torch.load(tmp_path / "training_state.pt", weights_only=True)["epoch"] == 1
    assert [weight(path) for path in sorted(tmp_path.glob("*.pt"))] == [1, 1]


def test_resuming_goes_on_after_the_last_epoch(tmp_path):
    first = Run(tmp_path, max_epochs=2, best_epochs=[1])()
    again = Run(tmp_path, max_epochs=4, best_epochs=[], resume=True)()
    assert first.epochs == [1, 2] and again.epochs == [3, 4]
    assert again.evaluator.state.best_metric_epoch == 1 and again.evaluator.state.best_metric == 0.5
    assert [weight(tmp_path / name) for name in FILES] == [1, 4, 4]


def test_nothing_to_resume_starts_anew(tmp_path):
    assert Run(tmp_path, max_epochs=2, resume=True)().epochs == [1, 2]


def test_former_checkpoints_are_kept_aside(tmp_path):
    for number in range(1, 4):
        Run(tmp_path, max_epochs=number)()
    assert names(tmp_path) == ["former_1", "former_2", *FILES]
    for folder, epochs in ((tmp_path / "former_1", 1), (tmp_path / "former_2", 2), (tmp_path, 3)):
        assert [weight(folder / name) for name in FILES] == [epochs] * 3


def test_a_new_training_keeps_the_model_in_use_but_not_the_state(tmp_path):
    Run(tmp_path, max_epochs=1)()
    broken = Run(tmp_path, max_epochs=1)
    broken.engine.add_event_handler(Events.ITERATION_STARTED, lambda engine: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken()
    assert names(tmp_path) == ["former_1", "model.pt", "model_final.pt"]


def test_later_rounds_of_a_federated_training_go_on_in_the_same_files(tmp_path):
    first = Run(tmp_path, max_epochs=1, rounds=2)()
    first.max_epochs = 2
    first()
    assert first.epochs == [1, 2] and names(tmp_path) == FILES
    assert [weight(tmp_path / name) for name in FILES] == [2, 2, 2]


def test_a_federated_client_does_not_resume(tmp_path):
    with pytest.raises(InputError, match=r"resume is True with 2 rounds: .* give resume=False"):
        Run(tmp_path, rounds=2, resume=True)


def test_other_processes_write_nothing(tmp_path):
    Run(tmp_path)(rank=1)
    assert names(tmp_path) == []


def test_another_training_is_not_resumed(tmp_path):
    Run(tmp_path, max_epochs=1)()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"training_state\.pt belongs to another training, with seed 0 \(now 1\)"):
        Run(tmp_path, seed=1, resume=True)()
    with pytest.raises(InputError, match=r"with accumulation_steps 1 \(now 3\): give"):
        Run(tmp_path, accumulation_steps=3, resume=True)()
    (tmp_path / "training_state.pt").write_bytes(before["model.pt"])
    with pytest.raises(InputError, match="holds weights, no state of a training"):
        Run(tmp_path, resume=True)()
    (tmp_path / "training_state.pt").write_bytes(b"noise")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        Run(tmp_path, resume=True)()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before | {"training_state.pt": b"noise"}


def test_a_training_goes_on_with_the_same_network_and_axes_only(tmp_path):
    first = {"network": {"strides": [1, (2, 2, 2)], "num_heads": 2}, "flip_axes": [0]}
    Run(tmp_path, max_epochs=1, settings=first)()
    for other, message in (
        ({"network": {"strides": [1, 2], "num_heads": 4}}, r"with num_heads of the network 2 \(now 4\): give"),
        ({"network": {"strides": [1, [2, 2, 1]]}}, r"with strides of the network .* \(now \[1, \[2, 2, 1\]\]\)"),
        ({"flip_axes": [0, 1]}, r"with flip_axes \[0\] \(now \[0, 1\]\)"),
    ):
        with pytest.raises(InputError, match=message):
            Run(tmp_path, settings=first | other, resume=True)()
    alike = {"network": {"strides": [[1, 1, 1], 2], "num_heads": 2}}
    assert Run(tmp_path, max_epochs=2, settings=first | alike, resume=True)().epochs == [2]


def test_a_training_is_not_resumed_with_another_length(tmp_path):
    """The learning rate would jump, or what is not finished pass for finished."""
    Run(tmp_path, max_epochs=2, settings={"total_steps": 4})()
    with pytest.raises(InputError, match=r"total_steps \(max_epochs x steps_per_epoch\) 4 \(now 40\): give the same"):
        Run(tmp_path, max_epochs=20, settings={"total_steps": 40}, resume=True)()
    Run(tmp_path, max_epochs=2)()  # as an earlier release writes it
    (tmp_path / "model_final.pt").unlink()
    with pytest.raises(InputError, match=r"is of epoch 2, max_epochs is 1: give the same max_epochs as before"):
        Run(tmp_path, max_epochs=1, settings={"total_steps": 2}, resume=True)()
    assert not (tmp_path / "model_final.pt").exists()
    assert Run(tmp_path, max_epochs=3, settings={"total_steps": 6}, resume=True)().epochs == [3]


def test_another_optimizer_is_not_ignored(tmp_path):
    Run(tmp_path, max_epochs=1)()
    with pytest.raises(InputError, match=r"with momentum of the optimizer 0.9 \(now 0.5\): give"):
        Run(tmp_path, momentum=0.5, resume=True)()


def test_a_state_that_tells_less_is_resumed(tmp_path):
    Run(tmp_path, max_epochs=1)()
    told = {"seed": 0, "network": {"num_heads": 4}, "flip_axes": [0]}
    assert Run(tmp_path, max_epochs=2, settings=told, resume=True)().epochs == [2]


def test_a_deleted_former_folder_is_no_hindrance(tmp_path):
    for _ in range(3):
        Run(tmp_path)()
    (tmp_path / "former_1").rename(tmp_path / "elsewhere")
    Run(tmp_path)()
    assert {"former_1", "former_2"} <= set(names(tmp_path))


def test_two_trainings_do_not_write_to_one_folder(tmp_path):
    second = Run(tmp_path)
    first = Run(tmp_path)
    refused = []

    def start_the_other(engine):
        with pytest.raises(InputError, match=f"another training writes to {tmp_path}: give this one another"):
            second()
        refused.append(engine.state.epoch)

    first.engine.add_event_handler(Events.EPOCH_COMPLETED(once=2), start_the_other)
    first()
    assert refused == [2] and second.epochs == []
    assert Run(tmp_path)().epochs == [1, 2, 3]


@pytest.mark.slow
def test_processes_resume_each_other_only_where_all_see_and_do_the_same(tmp_path):
    alone = {"cases": "5 + 2", "batch_size": 6}
    Run(tmp_path / "one", max_epochs=1, settings=alone)()
    (tmp_path / "process.py").write_text(PROCESS)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'bundles'}"}
    command = [*launcher, str(tmp_path / "process.py"), str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(2):
        found = json.loads((tmp_path / f"rank{rank}.json").read_text())
        assert found["first"] == [1, 2] and found["resumed"] == [3] and found["of_one_process"] == [2]
        assert "go on after epochs 3 and 0" in found["own_folders"] and "that all nodes see" in found["own_folders"]
        assert "train + validate: 5 + 2 and 4 + 2: give --dataset_dir" in found["other_cases"]
        assert "each of 2 processes would train a network of its own" in found["own_networks"]
        assert "with batch_size of all processes together 6 (now 12): give" in found["twice_the_batch"]
        assert "after step 3 (epoch 2) the loss is NaN" in found["diverged_in_one"]
    assert weight(tmp_path / "shared" / "training_state.pt") == 3  # what was refused has set nothing aside
    assert Run(tmp_path / "shared", max_epochs=4, settings=alone, resume=True)().epochs == [4]
    with pytest.raises(InputError, match=r"batch_size of all processes together 6 \(now 3\)"):
        Run(tmp_path / "shared", max_epochs=5, settings=alone | {"batch_size": 3}, resume=True)()
