import numpy as np
import pytest
import torch

from scripts.errors import InputError
from scripts.pretraining.patches import patchify, take_patches, unpatchify

SHAPES = [((6, 8), (3, 2), 3), ((4, 6, 8), (2, 3, 4), 1), ((4, 6, 8), (2, 3, 2), 4)]


@pytest.mark.parametrize(("size", "patch", "channels"), SHAPES)
def test_patches_equal_a_plain_loop_and_come_back_exactly(size, patch, channels):
    image = torch.randn(2, channels, *size)
    rows = []
    for corner in np.ndindex(*(n // p for n, p in zip(size, patch, strict=True))):
        box = tuple(slice(c * p, (c + 1) * p) for c, p in zip(corner, patch, strict=True))
        rows.append([image[(b, slice(None), *box)].movedim(0, -1).reshape(-1) for b in range(2)])
    patches = patchify(image, patch)
    assert torch.equal(patches, torch.stack([torch.stack(row) for row in rows], dim=1))
    assert torch.equal(unpatchify(patches, patch, size), image)


def test_patches_are_taken_by_number():
    patches, index = torch.randn(2, 5, 3), torch.tensor([[4, 0], [1, 2]])
    taken = take_patches(patches, index)
    assert torch.equal(taken, torch.stack([patches[0, [4, 0]], patches[1, [1, 2]]]))
    assert torch.equal(take_patches(patches[:1], index)[1], patches[0, [1, 2]])


def test_patches_that_do_not_tile_are_refused():
    with pytest.raises(InputError, match="not divisible"):
        patchify(torch.zeros(1, 1, 6, 7), (3, 2))
