import pytest
import torch
from monai.losses import DiceCELoss

from scripts.losses import DeepSupervisionMean


def test_three_levels_weigh_four_two_and_one_seventh():
    single = DiceCELoss(to_onehot_y=True, softmax=True)
    generator = torch.Generator().manual_seed(0)
    levels = [torch.randn(1, 3, n, n, n, generator=generator) for n in (8, 4, 2)]
    label = torch.randint(3, (1, 1, 8, 8, 8), generator=generator).float()
    # of nearest voxels by their middles, every second one of the upper half
    labels = [label, label[:, :, 1::2, 1::2, 1::2], label[:, :, 2::4, 2::4, 2::4]]
    expected = sum(w / 7 * single(p, t) for w, p, t in zip((4, 2, 1), levels, labels, strict=True))
    loss = DeepSupervisionMean(single)
    assert loss(levels, label).item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss(levels[0], label).item() == pytest.approx(single(levels[0], label).item(), rel=1e-6)
