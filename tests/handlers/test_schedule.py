import math
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch.utils.data import DataLoader

from scripts.errors import InputError
from scripts.handlers import PhasedSchedule
from scripts.networks import ResEncUNet, parameter_groups

RAMP, EPOCH, TOTAL = 12_500, 250, 250_000
FULL = ["all", "poly", None]
# every row of the Spark3D paper's Tab. 3 (learning rates apart), and the reference's own course, in its 1000 epochs
TABLE = {
    "full, no ramp": [FULL],
    "frozen encoder": [["decoder", "poly", None]],
    "frozen encoder, new stem": [["decoder+stem", "poly", None]],
    "one ramp": [["all", "ramp", RAMP], FULL],
    "decoder ramp": [["decoder", "ramp", RAMP], FULL],
    "two ramps": [["decoder", "ramp", RAMP], ["all", "ramp", RAMP], FULL],
    "sawtooth": [["decoder", "ramp", 25 * EPOCH], ["decoder", "poly", 25 * EPOCH], ["all", "ramp", 50 * EPOCH], FULL],
}


def group_names():
    return torch.optim.SGD([{"name": n, "params": [torch.zeros(1)]} for n in ("stem", "encoder", "decoder")], lr=1.0)


def plain_course(phases, total, max_lr):
    """One list of (part, rate), written down step by step."""
    course = []
    for part, shape, steps in phases:
        length = total - len(course) if steps is None else steps
        for i in range(length):
            if shape == "ramp":
                course.append((part, max_lr * (i + 1) / length))
            elif shape == "poly":
                course.append((part, max_lr * (1 - i / length) ** 0.9))
            else:
                course.append((part, max_lr))
    return course


@pytest.mark.parametrize("row", TABLE)
@pytest.mark.parametrize("max_lr", [1e-2, 1e-3, 1e-4])
def test_rows_of_the_paper_equal_a_plain_loop(row, max_lr):
    schedule = PhasedSchedule(group_names(), TABLE[row], max_lr, TOTAL)
    course = plain_course(TABLE[row], TOTAL, max_lr)
    assert len(course) == TOTAL
    turns = [sum(steps or 0 for _, _, steps in TABLE[row][:n]) for n in range(len(TABLE[row]) + 1)]
    for step in {s for t in turns for s in (t - 1, t, t + 1, t + 5000) if 0 <= s < TOTAL} | {TOTAL - 1}:
        part, rate = schedule.at(step)
        assert part == course[step][0] and rate == pytest.approx(course[step][1], rel=1e-12)


def test_sawtooth_rises_and_falls_and_rises_and_falls():
    schedule = PhasedSchedule(group_names(), TABLE["sawtooth"], 1e-3, TOTAL)
    rates = {epoch: schedule.at(epoch * EPOCH)[1] for epoch in (0, 24, 25, 49, 50, 99, 100, 999)}
    assert rates[25] == rates[100] == 1e-3
    assert (
        max(rates[0], rates[50]) < 1e-5 and min(rates[24], rates[99]) > 9e-4 and rates[49] < 1e-4 and rates[999] < 1e-5
    )
    parts = [schedule.at(epoch * EPOCH)[0] for epoch in (0, 49, 50, 999)]
    assert parts == ["decoder", "decoder", "all", "all"]


class Probe:
    """Notes after every step the learning rates, and which groups have momentum."""

    def __init__(self, optimizer):
        self.optimizer, self.rates, self.moving, self.weights = optimizer, [], [], []

    def __call__(self, engine):
        groups = {group["name"]: group for group in self.optimizer.param_groups}
        self.rates.append({name: group["lr"] for name, group in groups.items()})
        momentum = {
            n: [self.optimizer.state.get(p, {}).get("momentum_buffer") for p in g["params"]] for n, g in groups.items()
        }
        self.moving.append({name for name, buffers in momentum.items() if any(b is not None for b in buffers)})
        self.weights.append({name: [p.detach().clone() for p in g["params"]] for name, g in groups.items()})


@pytest.fixture
def trained():
    """Return a function that trains a small network for six steps by some phases, and the probe's notes."""

    def train(phases, max_lr=1e-2, total_steps=6, rounds=1):
        torch.manual_seed(0)
        network = ResEncUNet(1, 2, features=(2, 4), num_blocks=(1, 1), strides=(1, 2), weight_init="default")
        groups = parameter_groups(network)
        optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.9, nesterov=True, weight_decay=1e-2)
        data = [{"image": torch.randn(1, 4, 4, 4), "label": torch.randn(2, 4, 4, 4)} for _ in range(3)]
        probe = Probe(optimizer)
        probe.weights.append({g["name"]: [p.detach().clone() for p in g["params"]] for g in groups})
        trainer = SupervisedTrainer(
            device=torch.device("cpu"),
            max_epochs=2 // rounds,
            train_data_loader=DataLoader(data, batch_size=1),
            network=network,
            optimizer=optimizer,
            loss_function=torch.nn.MSELoss(),
            train_handlers=[PhasedSchedule(optimizer, phases, max_lr, total_steps)],
        )
        trainer.add_event_handler(Events.ITERATION_COMPLETED, probe)
        trainer.run()
        for _ in range(1, rounds):  # as MONAI's federated client goes on
            trainer.state.max_epochs = trainer.state.epoch + 2 // rounds
            trainer.run()
        return probe

    return train


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_training_follows_the_phases(trained):
    phases = [["decoder", "ramp", 2], ["decoder+stem", "constant", 1], FULL]
    probe = trained(phases)
    for rates, (part, rate) in zip(probe.rates, plain_course(phases, 6, 1e-2), strict=True):
        trains = {"stem", "encoder", "decoder"} if part == "all" else set(part.split("+"))
        assert rates == {name: pytest.approx(rate) if name in trains else 0.0 for name in rates}


def test_frozen_groups_stay_bit_identical_and_collect_no_momentum(trained):
    probe = trained([["decoder", "ramp", 2], ["decoder+stem", "constant", 1], FULL])
    assert probe.moving == [{"decoder"}] * 2 + [{"decoder", "stem"}] + [{"decoder", "stem", "encoder"}] * 3
    changes = {
        name: [not equal(a[name], b[name]) for a, b in zip(probe.weights, probe.weights[1:], strict=False)]
        for name in ("stem", "encoder", "decoder")
    }
    assert changes == {"decoder": [True] * 6, "stem": [False] * 2 + [True] * 4, "encoder": [False] * 3 + [True] * 3}


def test_warm_up_and_cosine_of_the_vit_papers():
    schedule = PhasedSchedule(group_names(), [["all", "ramp", 100], ["all", "cosine", None]], 1.5e-4, 1000)
    rates = [schedule.at(step)[1] for step in range(1000)]
    assert rates[:100] == pytest.approx([1.5e-4 * (i + 1) / 100 for i in range(100)])
    assert rates[100:] == pytest.approx([1.5e-4 * 0.5 * (1 + math.cos(math.pi * i / 900)) for i in range(900)])
    assert rates[99] == rates[100] == 1.5e-4 and 0 < rates[-1] < 1e-9


def test_a_groups_scale_multiplies_its_rate():
    optimizer = group_names()
    optimizer.param_groups[0]["lr_scale"], optimizer.param_groups[1]["lr_scale"] = 0.25, 0.5
    schedule = PhasedSchedule(optimizer, [["decoder+stem", "constant", 1], ["all", "cosine", None]], 1e-3, 10)
    state = SimpleNamespace(iteration=1)
    schedule.set_rates(SimpleNamespace(state=state))
    assert [group["lr"] for group in optimizer.param_groups] == [0.25e-3, 0, 1e-3]
    state.iteration = 2
    schedule.set_rates(SimpleNamespace(state=state))
    assert [group["lr"] for group in optimizer.param_groups] == [0.25e-3, 0.5e-3, 1e-3]


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ([["head", "ramp", 3], FULL], "phase .*head.* a part of .*'all', 'stem', 'encoder', 'decoder'"),
        ([["all", "sine", 3], FULL], "a shape of .*ramp"),
        ([["all", "ramp"], FULL], r"is not \[part, shape, steps\]"),
        ([["all", "ramp", 0], FULL], r"is not \[part, shape, steps\]"),
        ([["all", "ramp", "3"], FULL], r"is not \[part, shape, steps\]"),
        (["all", "poly", None], "phase all is not"),
        ("all", "phases is 'all': give a list"),
        ([["all", "ramp", None], FULL], "give every phase its steps"),
        ([["all", "ramp", 3]], "the last one null"),
        ([], "the last one null"),
    ],
)
def test_malformed_phases_are_refused(phases, message):
    with pytest.raises(InputError, match=message):
        PhasedSchedule(group_names(), phases, 1e-3, TOTAL)


def test_phases_longer_than_the_training_are_refused(trained):
    with pytest.raises(InputError, match="take 6 steps, the whole training has 6: shorten them"):
        trained([["decoder", "ramp", 4], ["all", "ramp", 2], FULL])


def test_rounds_of_a_federated_training_share_one_schedule(trained):
    phases = [["decoder", "ramp", 4], FULL]
    assert trained(phases, rounds=2).rates == trained(phases).rates


def test_more_rounds_than_stated_are_refused(trained):
    with pytest.raises(InputError, match="schedule has 3 steps, the training wants 6: give rounds"):
        trained([FULL], total_steps=3, rounds=2)
