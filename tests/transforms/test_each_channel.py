import numpy as np
import torch
from monai.transforms import RandAdjustContrast, RandGaussianSmooth

from bundles.scripts.transforms import RandEachChanneld

IMAGE = torch.rand(3, 8, 9, 10, generator=torch.Generator().manual_seed(0))


def gamma():
    return RandAdjustContrast(prob=1.0, gamma=(0.7, 1.5), retain_stats=True)


def test_each_channel_is_drawn_and_transformed_by_itself():
    each = RandEachChanneld("image", gamma()).set_random_state(3)
    alone = gamma()
    state = np.random.RandomState(3)
    state.rand()  # whether to transform at all
    alone.set_random_state(state=state)
    expected = torch.cat([alone(IMAGE[c : c + 1]) for c in range(3)])
    assert torch.equal(each({"image": IMAGE})["image"], expected)


def test_some_channels_of_some_items():
    each = RandEachChanneld("image", RandGaussianSmooth(prob=0.5), prob=0.4).set_random_state(0)
    changed = np.array(
        [
            [not torch.equal(a, b) for a, b in zip(each({"image": IMAGE})["image"], IMAGE, strict=True)]
            for _ in range(400)
        ]
    )
    # 0.4 * 0.5 of all channels; of 0.4 of the items at least one in 1 - 0.5 ** 3: within six standard errors
    assert abs(changed.mean() - 0.2) < 0.08
    assert abs(changed.any(axis=1).mean() - 0.35) < 0.15
    assert 0 < changed.all(axis=1).mean() < changed.any(axis=1).mean()


def test_the_seed_alone_decides():
    each = RandEachChanneld("image", gamma(), prob=0.5)
    first = [each.set_random_state(seed)({"image": IMAGE})["image"] for seed in range(5)]
    again = [each.set_random_state(seed)({"image": IMAGE})["image"] for seed in range(5)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
