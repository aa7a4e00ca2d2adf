import torch
from monai.transforms import Compose, Lambdad, RandFlipd, RandGaussianNoised, RandSpatialCropd
from torch.utils.data import DataLoader

from scripts.data import SeededDataset, StepSampler

NUM_CASES = 5


def dataset(seed=0):
    data = [{"case": str(i), "image": torch.arange(1000.0).view(1, 10, 10, 10) + 10000 * i} for i in range(NUM_CASES)]
    augmentation = Compose(
        [
            RandSpatialCropd("image", (4, 4, 4), random_size=False),
            RandFlipd("image", 0.5),
            RandGaussianNoised("image", 0.5),
        ]
    )
    return SeededDataset(data, Compose([Lambdad("image", lambda x: x)]), augmentation, seed=seed)


def loaded(epoch, num_workers=0, batch_size=2, steps=3):
    data = dataset()
    sampler = StepSampler(data, batch_size, steps)
    sampler.set_epoch(epoch)
    return list(DataLoader(data, batch_size, sampler=sampler, num_workers=num_workers))


def test_a_draw_follows_from_seed_step_and_position_alone():
    first, second = dataset(), dataset()
    once = first[7, 1]["image"]
    [first[step, 0] for step in range(5)]
    assert torch.equal(first[7, 1]["image"], once) and torch.equal(second[7, 1]["image"], once)
    assert not torch.equal(first[7, 0]["image"], once) and not torch.equal(first[8, 1]["image"], once)
    assert not torch.equal(dataset(seed=1)[7, 1]["image"], once)


def test_workers_change_nothing():
    for one, other in zip(loaded(2), loaded(2, num_workers=2), strict=True):
        assert torch.equal(one["image"], other["image"]) and torch.equal(one["step"], other["step"])


def test_epochs_continue_the_steps():
    steps = [batch["step"].tolist() for epoch in (1, 2) for batch in loaded(epoch)]
    assert steps == [[step, step] for step in range(1, 7)]


def test_processes_share_one_global_batch():
    whole = StepSampler(dataset(), batch_size=4, steps_per_epoch=3)
    shares = []
    for rank in range(2):
        share = StepSampler(dataset(), batch_size=2, steps_per_epoch=3)
        share.rank = rank
        shares.append(list(share))
    together = [draw for step in range(3) for share in shares for draw in share[2 * step : 2 * step + 2]]
    assert together == list(whole) and len(whole) == 12


def test_all_cases_are_drawn_about_equally_often():
    data = dataset()
    counts = torch.bincount(torch.tensor([int(data[step, 0]["case"]) for step in range(1000)]), minlength=NUM_CASES)
    assert counts.min() > 150 and counts.max() < 250
