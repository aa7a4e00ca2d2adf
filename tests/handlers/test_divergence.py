from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch.utils.data import DataLoader

from scripts.errors import InputError
from scripts.handlers import StopOnDivergence

NAN, INF = float("nan"), float("inf")


def trained(images, scaler=None, max_lr=0.1):
    """Train one weight for two epochs, one step an image; return the trainer, and what was raised."""
    network = torch.nn.Linear(1, 1)
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=2,
        train_data_loader=DataLoader([{"image": torch.tensor([i]), "label": torch.zeros(1)} for i in images]),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=max_lr),
        loss_function=torch.nn.MSELoss(),
        train_handlers=[StopOnDivergence()],
        decollate=False,
        amp=scaler is not None,
    )
    trainer.add_event_handler(Events.STARTED, lambda engine: setattr(engine, "scaler", scaler))
    try:
        trainer.run()
    except InputError as error:
        return trainer, str(error)
    return trainer, None


@pytest.mark.parametrize("value", [NAN, INF])
def test_a_loss_that_is_no_number_ends_the_training(value):
    trainer, message = trained([1.0, 2.0, value, 3.0])
    assert message.startswith("after step 3 (epoch 1) the loss is NaN or infinite") and "amp" not in message
    assert trainer.state.iteration == 3


def test_a_finite_loss_goes_on():
    trainer, message = trained([1.0, 2.0])
    assert message is None and trainer.state.iteration == 4


def test_weights_that_are_no_numbers_end_the_training_after_the_epoch_s_last_step():
    _, message = trained([1.0, 2.0], max_lr=INF)
    assert message.startswith("after step 2 (epoch 1) the loss")
    _, message = trained([1.0], max_lr=INF)  # no further loss tells of it
    assert message.startswith("after step 1 (epoch 1) a weight is NaN or infinite")


def test_a_scaler_passes_over_single_steps_but_not_over_all():
    scaler = torch.amp.GradScaler("cpu")
    trainer, message = trained([1.0, NAN, 2.0], scaler)
    assert message is None and trainer.state.iteration == 6 and scaler.get_scale() == 2.0**14
    assert all(weight.isfinite().all() for weight in trainer.network.parameters())
    trainer, message = trained([NAN] * 20, torch.amp.GradScaler("cpu"))
    assert message.startswith("after step 17 (epoch 1) loss or gradients have been NaN") and "--amp False" in message


def test_a_scaler_that_is_off_passes_over_nothing():
    _, message = trained([NAN], torch.amp.GradScaler("cpu", enabled=False))
    assert "the loss is NaN" in message


@pytest.mark.gpu
def test_a_loss_on_a_gpu_is_told():
    engine = SimpleNamespace(scaler=None, state=SimpleNamespace(iteration=1, epoch=1, epoch_length=2))
    engine.state.output = {"loss": torch.tensor(NAN, device="cuda")}
    with pytest.raises(InputError, match="the loss is NaN"):
        StopOnDivergence()(engine)
