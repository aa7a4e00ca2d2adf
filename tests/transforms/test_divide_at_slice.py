import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, label

from scripts.errors import InputError
from scripts.transforms import DivideAtSliced

LOWER, UPPER, OTHER = 2, 1, 3  # 0 is background


@pytest.fixture(scope="module")
def logits():
    """Four classes in blobs: several pieces, borders everywhere."""
    rng = np.random.default_rng(0)
    fields = np.stack([6 * gaussian_filter(rng.standard_normal((14, 18, 12)), 1) for _ in range(4)])
    return torch.tensor(fields + np.array([1, 0, 0, 0]).reshape(4, 1, 1, 1))


def divided(logits, axis=1):
    return DivideAtSliced("pred", lower=LOWER, upper=UPPER, axis=axis)({"pred": logits})["pred"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_piece_gets_the_border_that_misplaces_least(logits, axis):
    """Against trying all borders of a piece, one after the other."""
    before, after = logits.argmax(0).numpy(), divided(logits, axis).argmax(0).numpy()
    shares = logits.softmax(0).numpy()
    pieces, count = label(np.isin(before, (LOWER, UPPER)))
    assert count > 3
    for piece in range(1, count + 1):
        places = np.argwhere(pieces == piece)
        lower, upper = (shares[part][pieces == piece] for part in (LOWER, UPPER))
        wrong = [
            upper[places[:, axis] < border].sum() + lower[places[:, axis] >= border].sum()
            for border in range(logits.shape[1 + axis] + 1)
        ]
        expected = np.where(places[:, axis] < np.argmin(wrong), LOWER, UPPER)
        np.testing.assert_array_equal(after[pieces == piece], expected)


def test_what_both_parts_have_together_stays_and_so_do_other_classes(logits):
    after = divided(logits)
    for part in (0, OTHER):
        torch.testing.assert_close(after[part], logits[part], rtol=0, atol=0)
    pair = [LOWER, UPPER]
    torch.testing.assert_close(after[pair].sum(0), logits[pair].sum(0))
    torch.testing.assert_close(after[pair].amax(0), logits[pair].amax(0), rtol=0, atol=0)
    assert not torch.equal(after, logits)


def test_what_meets_at_a_slice_already_is_left_as_it_is(logits):
    once = divided(logits)
    torch.testing.assert_close(divided(once), once, rtol=0, atol=0)


def test_left_and_right_are_divided_each_at_its_own_slice():
    logits = torch.zeros(3, 9, 10, 4)
    logits[0] = 1
    for sides, border in ((slice(1, 4), 3), (slice(5, 8), 7)):
        logits[2, sides, :border] = 2
        logits[1, sides, border:] = 2
    logits[[1, 2], 2, 2, 1] = logits[[2, 1], 2, 2, 1]  # one voxel astray
    classes = divided(logits).argmax(0)
    assert (classes[1:4, :3] == 2).all() and (classes[1:4, 3:] == 1).all()
    assert (classes[5:8, :7] == 2).all() and (classes[5:8, 7:] == 1).all()


def test_nothing_found_is_nothing_divided():
    logits = torch.zeros(3, 4, 5, 6)
    logits[0] = 1
    torch.testing.assert_close(divided(logits), logits)


def test_a_network_without_these_classes_is_refused():
    with pytest.raises(InputError, match="has 2 classes"):
        divided(torch.zeros(2, 4, 4, 4))
