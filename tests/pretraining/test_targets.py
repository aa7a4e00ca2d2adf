import numpy as np
import pytest
import torch

from scripts.errors import InputError
from scripts.losses import MaskedMSELoss
from scripts.pretraining.targets import CellNormalizedTargets, VoxelTargets

SHAPES = [((2, 3, 8, 6), (4, 3)), ((2, 2, 8, 6, 4), (4, 3, 2))]


def batch(shape, cell):
    generator = torch.Generator().manual_seed(0)
    image, prediction = (torch.randn(shape, generator=generator, dtype=torch.double) for _ in range(2))
    grid = [n // c for n, c in zip(shape[2:], cell, strict=True)]
    mask = torch.rand(shape[0], 1, *grid, generator=generator) < 0.5
    return prediction, image, mask


def cells(shape, cell):
    for corner in np.ndindex(*(n // c for n, c in zip(shape[2:], cell, strict=True))):
        yield corner, (slice(None), *(slice(i * c, (i + 1) * c) for i, c in zip(corner, cell, strict=True)))


@pytest.mark.parametrize(("shape", "cell"), SHAPES)
def test_the_loss_equals_a_plain_loop(shape, cell):
    prediction, image, mask = batch(shape, cell)
    errors, plain = [], []
    for p, x, m in zip(prediction.numpy(), image.numpy(), mask.numpy(), strict=True):
        for corner, box in cells(shape, cell):
            if m[(0, *corner)]:
                values = x[box].ravel()
                mean = sum(values) / len(values)
                deviation = (sum((v - mean) ** 2 for v in values) / len(values) + 1e-6) ** 0.5
                errors += [(g - (v - mean) / deviation) ** 2 for g, v in zip(p[box].ravel(), values, strict=True)]
                plain += [(g - v) ** 2 for g, v in zip(p[box].ravel(), values, strict=True)]
    loss = MaskedMSELoss(CellNormalizedTargets(cell))(prediction, (image, mask))
    assert loss.dtype == torch.double and loss.item() == pytest.approx(sum(errors) / len(errors), rel=1e-12)
    for targets in (None, VoxelTargets()):
        found = MaskedMSELoss(targets)(prediction, (image, mask)).item()
        assert found == pytest.approx(sum(plain) / len(plain), rel=1e-12)


@pytest.mark.parametrize(("shape", "cell"), SHAPES)
def test_the_truth_is_shown_as_the_image(shape, cell):
    _, image, _ = batch(shape, cell)
    for targets in (CellNormalizedTargets(cell), VoxelTargets()):
        torch.testing.assert_close(targets.shown(targets(image), image), image)


def test_halves_are_normalised_in_full_precision_and_flat_cells_stay_finite():
    image = torch.full((1, 1, 4, 4), 1000.0)
    image[..., :2] += torch.randn(1, 1, 4, 2)
    targets = CellNormalizedTargets((4, 2))(image.half())
    assert targets.dtype == torch.float32 and (targets[..., 2:] == 0).all()
    assert targets[..., :2].std(correction=0).item() == pytest.approx(1, abs=1e-3)


def test_the_variance_of_he_et_al_is_a_switch():
    image = torch.randn(1, 2, 4, 4, dtype=torch.double)
    ours, theirs = (CellNormalizedTargets((4, 2), unbiased=unbiased)(image) for unbiased in (False, True))
    # 16 values in a cell of both channels
    torch.testing.assert_close(theirs, ours * (15 / 16) ** 0.5, rtol=1e-5, atol=0)
    with pytest.raises(InputError, match="unbiased"):
        CellNormalizedTargets((4, 2), unbiased="no")


def test_cells_that_do_not_tile_are_refused():
    with pytest.raises(InputError, match="not divisible"):
        CellNormalizedTargets((3, 3))(torch.zeros(1, 1, 8, 6))


@pytest.mark.parametrize(("shape", "cell"), SHAPES)
def test_channels_can_be_normalised_each_by_itself(shape, cell):
    _, image, _ = batch(shape, cell)
    image *= torch.tensor([1.0, 50.0, 7.0])[: shape[1]].view(-1, *(1,) * len(cell))
    together = CellNormalizedTargets(cell, per_channel=True)
    one_by_one = [CellNormalizedTargets(cell)(channel) for channel in image.split(1, dim=1)]
    torch.testing.assert_close(together(image), torch.cat(one_by_one, dim=1))
    torch.testing.assert_close(together.shown(together(image), image), image)
