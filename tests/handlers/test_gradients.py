from types import SimpleNamespace

import pytest
import torch

from scripts.handlers import ClipGradients


def gradients(*values):
    parameters = [torch.nn.Parameter(torch.zeros(2)) for _ in values]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.grad = torch.tensor(value)
    groups = [{"params": parameters[:1]}, {"params": parameters[1:]}]
    return parameters, torch.optim.SGD(groups, lr=0.1)


@pytest.mark.parametrize(("max_norm", "factor"), [(6.5, 0.5), (12.0, 12 / 13), (13.5, 1.0)])
def test_the_norm_over_all_groups_is_bounded(max_norm, factor):
    parameters, optimizer = gradients([3.0, 4.0], [12.0, 0.0])  # of norm 13
    ClipGradients(max_norm)(SimpleNamespace(scaler=None, optimizer=optimizer))
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

    ClipGradients(6.0)(SimpleNamespace(scaler=Scaler(), optimizer=optimizer))
    assert torch.equal(parameters[0].grad, torch.tensor([3.0, 4.0]))  # of norm 5, within the bound
