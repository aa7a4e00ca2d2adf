import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scripts.errors import InputError
from scripts.pretraining import DrawMasks, FixedMasks
from scripts.pretraining.masks import (
    cell_grid,
    checked_cell_size,
    checked_mask,
    draw_mask,
    draw_mask_ratio,
    expand_mask,
    num_hidden,
    visible_cells,
)


def draws(step, positions, size=(16, 16, 16)):
    return {
        "image": torch.zeros(len(positions), 1, *size),
        "step": torch.full((len(positions),), step),
        "position": torch.tensor(positions),
    }


def test_expanding_equals_nearest_interpolation():
    mask = draw_mask((2, 3, 4), 0.5, np.random.default_rng(0))[None]
    expected = F.interpolate(mask.float(), size=(8, 9, 16), mode="nearest") > 0
    assert torch.equal(expand_mask(mask, (8, 9, 16)), expected)


def test_number_hidden_is_that_of_the_reference():
    """125 cells at 60 to 90 %: 75 to 112 hidden."""
    assert (num_hidden(125, 0.6), num_hidden(125, 0.9)) == (75, 112)
    assert (num_hidden(8, 0.01), num_hidden(8, 0.999)) == (1, 7)


def test_cells_are_drawn_uniformly():
    rng = np.random.default_rng(0)
    share = torch.stack([draw_mask((2, 2, 2), 0.75, rng) for _ in range(2000)]).float().mean(0)
    assert (share - 0.75).abs().max() < 0.05


def test_ratio_is_drawn_from_its_range():
    rng = np.random.default_rng(0)
    ratios = [draw_mask_ratio([0.6, 0.9], rng) for _ in range(500)]
    assert 0.6 <= min(ratios) < 0.61 and 0.89 < max(ratios) <= 0.9
    assert draw_mask_ratio(0.75, rng) == 0.75


def test_all_samples_of_a_step_hide_equally_many_and_different_cells():
    masks = DrawMasks((4, 4, 4), [0.2, 0.9], seed=3)
    counts = set()
    for step in range(1, 8):
        image, (target, mask), (argument,), _ = masks(draws(step, [0, 1, 2]), "cpu")
        assert mask.dtype == torch.bool and mask.shape == (3, 1, 4, 4, 4) and argument is mask and target is image
        per_sample = mask.flatten(1).sum(1)
        assert (per_sample == per_sample[0]).all() and not torch.equal(mask[0], mask[1])
        counts.add(int(per_sample[0]))
    assert len(counts) > 3


def test_masks_follow_from_step_and_position_not_from_history():
    masks = DrawMasks((4, 4, 4), [0.6, 0.9], seed=3)
    _, (_, once), _, _ = masks(draws(5, [2, 3]), "cpu")
    masks(draws(1, [0, 1]), "cpu")
    _, (_, again), _, _ = masks(draws(5, [2, 3]), "cpu")
    _, (_, swapped), _, _ = masks(draws(5, [3, 2]), "cpu")
    assert torch.equal(once, again) and torch.equal(once, swapped.flip(0))


def test_fixed_masks_depend_on_the_case_alone():
    masks = FixedMasks((4, 4, 4), 0.75)
    volume = torch.zeros(2, 1, 16, 8, 8)
    _, (_, mask), _, _ = masks({"image": volume, "case": ["a", "b"]}, "cpu")
    _, (_, other), _, _ = masks({"image": volume[:1], "case": ["b"]}, "cpu")
    assert torch.equal(mask[1:], other) and not torch.equal(mask[0], mask[1])
    assert mask.flatten(1).sum(1).tolist() == [12, 12]


@pytest.mark.parametrize("ratio", [0, 1, -0.5, [0.9, 0.6], [0.5, 1.0], [0.5], "half", None])
def test_a_ratio_that_hides_all_or_nothing_is_refused(ratio):
    with pytest.raises(InputError, match="mask_ratio"):
        DrawMasks((4, 4, 4), ratio)


def test_one_number_is_a_cells_size_along_all_axes():
    assert checked_cell_size(8) == checked_cell_size([8, 8, 8]) == (8, 8, 8)


@pytest.mark.parametrize("cell_size", [[8, 8], [0, 0, 0], -8, 0, [8, 8, 8.0], "32", [16] * 4])
def test_what_is_no_size_of_a_cell_is_refused(cell_size):
    with pytest.raises(InputError, match="cell_size is"):
        checked_cell_size(cell_size)


def test_cells_that_do_not_tile_the_patch_are_refused_with_a_size_that_fits():
    with pytest.raises(InputError, match=r"\[16, 32, 32\]"):
        cell_grid((20, 30, 32), (16, 16, 16))
    with pytest.raises(InputError, match="nothing to mask"):
        draw_mask((1, 1, 1), 0.5, np.random.default_rng(0))


def test_a_mask_has_the_cells_of_its_image():
    image = torch.zeros(2, 1, 8, 12, 4)
    assert torch.equal(checked_mask(None, image, (4, 4, 4)), torch.zeros(2, 1, 2, 3, 1, dtype=torch.bool))
    mask = torch.ones(2, 1, 2, 3, 1, dtype=torch.bool)
    assert checked_mask(mask, image, (4, 4, 4)) is mask
    with pytest.raises(InputError, match=r"\[2, 1, 2, 3, 1\]: .* \[2, 1, 4, 3, 1\], True = hidden"):
        checked_mask(mask, image, (2, 4, 4))
    for other in (mask[:1], mask.expand(2, 2, 2, 3, 1), mask.byte(), mask.float()):
        with pytest.raises(InputError, match="the mask is torch"):
            checked_mask(other, image, (4, 4, 4))


def test_visible_cells_are_counted_in_the_grids_order():
    mask = torch.ones(2, 1, 2, 2, 2, dtype=torch.bool)
    mask[0, 0, 0, 1, 0] = mask[0, 0, 1, 1, 1] = mask[1, 0, 0, 0, 0] = mask[1, 0, 1, 0, 1] = False
    assert visible_cells(mask).tolist() == [[2, 7], [0, 5]]
    assert visible_cells(torch.ones_like(mask)).shape == (2, 0)
