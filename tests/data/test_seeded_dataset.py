import pytest
import torch
from monai.transforms import Compose, Lambdad, RandFlipd, RandGaussianNoised, RandSpatialCropd
from torch.utils.data import DataLoader

from scripts.data import RandomBox, SeededDataset, StepSampler
from scripts.data import cached_dataset as cached_module
from scripts.transforms import ForegroundVoxelsd

NUM_CASES = 5


def volume(number):
    return torch.arange(1000.0).view(1, 10, 10, 10) + 10000 * number


def lesion(number):
    label = torch.zeros(1, 10, 10, 10)
    label[0, 2, 9, 4] = float(number == 3)
    return label


def dataset(seed=0, cache_dir=None, crop=False):
    data = [{"case": str(i), "image": i, "stamp": ""} for i in range(NUM_CASES)]
    cropper = [] if crop else [RandSpatialCropd("image", (4, 4, 4), random_size=False)]
    augmentation = Compose([*cropper, RandFlipd("image", 0.5), RandGaussianNoised("image", 0.5)])
    box = RandomBox((4, 4, 4)) if crop else None
    return SeededDataset(
        data, Compose([Lambdad("image", volume)]), augmentation, cache_dir=cache_dir, seed=seed, crop=box
    )


def loaded(epochs, num_workers=0, batch_size=2, steps=3, **options):
    data = dataset(**options)
    sampler = StepSampler(data, batch_size, steps)
    loader = DataLoader(data, batch_size, sampler=sampler, num_workers=num_workers, persistent_workers=num_workers > 0)
    batches = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        batches += list(loader)
    return batches


def equal(one, other):
    pairs = list(zip(one, other, strict=True))
    return all(torch.equal(a["image"], b["image"]) and torch.equal(a["step"], b["step"]) for a, b in pairs)


@pytest.fixture
def cache(tmp_path):
    return str(tmp_path / "cache")


def test_a_draw_follows_from_seed_step_and_position_alone():
    first, second = dataset(), dataset()
    once = first[7, 1]["image"]
    [first[step, 0] for step in range(5)]
    assert torch.equal(first[7, 1]["image"], once) and torch.equal(second[7, 1]["image"], once)
    assert not torch.equal(first[7, 0]["image"], once) and not torch.equal(first[8, 1]["image"], once)
    assert not torch.equal(dataset(seed=1)[7, 1]["image"], once)


def test_workers_and_cache_change_nothing(cache):
    once = loaded((2, 3), crop=True)
    assert equal(once, loaded((2, 3), crop=True, num_workers=2, cache_dir=cache))
    assert equal(once, loaded((2, 3), crop=True, cache_dir=cache))
    assert equal(once[3:], loaded((3,), crop=True, num_workers=1, cache_dir=cache))
    assert equal(loaded((2,)), loaded((2,), num_workers=2))


def test_a_draw_reads_no_whole_volume(cache, monkeypatch):
    data = dataset(cache_dir=cache, crop=True)
    data.prepare()
    monkeypatch.setattr(cached_module, "read_whole", lambda _: pytest.fail("read whole"))
    assert data[3, 1]["image"].shape == (1, 4, 4, 4)


def test_a_damaged_entry_changes_no_draw(cache):
    data = dataset(cache_dir=cache, crop=True)
    draws = [data[step, 0]["image"] for step in range(4)]
    for index in range(NUM_CASES):
        data._cache_file(index).write_bytes(b"rubbish")
    assert all(torch.equal(data[step, 0]["image"], draw) for step, draw in enumerate(draws))


def test_epochs_continue_the_steps():
    steps = [batch["step"].tolist() for batch in loaded((1, 2))]
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


def test_every_batch_has_its_patches_around_foreground_of_cases_that_have_some(cache):
    """A single lesion voxel in one of five cases, which chance alone seldom hits."""
    data = [{"case": str(i), "image": i, "label": i, "stamp": ""} for i in range(NUM_CASES)]
    read = Compose([Lambdad("image", volume), Lambdad("label", lesion), ForegroundVoxelsd("label")])
    whole = SeededDataset(data, read, Compose([]), cache_dir=cache, crop=RandomBox((4, 4, 4), foreground=0.33))
    hits = [[bool(whole[step, position]["label"].any()) for position in range(6)] for step in range(20)]
    assert all(hit[0] and hit[4] for hit in hits)
    assert sum(map(sum, hits)) - 40 < 15
