from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from torch.utils.data import DataLoader

from scripts.handlers import ClipGradients


def gradients(*values):
    parameters = [torch.nn.Parameter(torch.zeros(2)) for _ in values]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.grad = torch.tensor(value)
    groups = [{"params": parameters[:1]}, {"params": parameters[1:]}]
    return parameters, torch.optim.SGD(groups, lr=0.1)


def engine(optimizer, scaler=None):
    state = SimpleNamespace(iteration=1, epoch_length=3)
    return SimpleNamespace(scaler=scaler, optimizer=optimizer, accumulation_steps=1, state=state)


@pytest.mark.parametrize(("max_norm", "factor"), [(6.5, 0.5), (12.0, 12 / 13), (13.5, 1.0)])
def test_the_norm_over_all_groups_is_bounded(max_norm, factor):
    parameters, optimizer = gradients([3.0, 4.0], [12.0, 0.0])  # of norm 13
    ClipGradients(max_norm)(engine(optimizer))
    expected = [torch.tensor([3.0, 4.0]) * factor, torch.tensor([12.0, 0.0]) * factor]
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-5)


def test_scaled_gradients_are_clipped_at_their_true_scale():
    parameters, optimizer = gradients([3.0 * 8, 4.0 * 8])

    class Scaler:
        def unscale_(self, optimizer):
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.grad /= 8

    ClipGradients(6.0)(engine(optimizer, Scaler()))
    assert torch.equal(parameters[0].grad, torch.tensor([3.0, 4.0]))  # of norm 5, within the bound


class Norms:
    """Notes the gradients' norm after every backward pass, and gives the trainer a scaler that works on a CPU."""

    def __init__(self, scaler):
        self.scaler, self.found = scaler, []

    def attach(self, engine):
        engine.add_event_handler(Events.STARTED, lambda engine: setattr(engine, "scaler", self.scaler))
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine):
        self.found.append(engine.network.weight.grad.norm().item())


def trained(num_samples, batch_size, accumulation_steps, scaled):
    """Train a layer for two epochs with gradients that are clipped to a norm of 0.1; return weights and norms."""
    rng = torch.Generator().manual_seed(0)
    draws = torch.randn(num_samples, 5, generator=rng)
    samples = [{"image": draw[:3], "label": draw[3:]} for draw in draws]
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2, bias=False)
    norms = Norms(torch.amp.GradScaler("cpu") if scaled else None)
    SupervisedTrainer(
        device="cpu",
        max_epochs=2,
        train_data_loader=DataLoader(samples, batch_size=batch_size),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=1.0),
        loss_function=torch.nn.MSELoss(),
        train_handlers=[ClipGradients(0.1), norms],
        amp=scaled,
        decollate=False,
        accumulation_steps=accumulation_steps,
    ).run()
    return network.weight, norms.found


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.filterwarnings("ignore:.*CUDA")
def test_two_steps_of_half_a_batch_are_one_of_the_whole(scaled):
    whole, norms = trained(8, batch_size=4, accumulation_steps=1, scaled=scaled)
    assert norms == pytest.approx([0.1] * 4, rel=1e-4)
    halves, _ = trained(8, batch_size=2, accumulation_steps=2, scaled=scaled)
    torch.testing.assert_close(halves, whole)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.filterwarnings("ignore:.*CUDA")
def test_what_an_epoch_leaves_over_is_clipped_too(scaled):
    _, norms = trained(6, batch_size=2, accumulation_steps=2, scaled=scaled)
    assert [norm == pytest.approx(0.1, rel=1e-4) for norm in norms] == [False, True, True] * 2
