from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from scripts.errors import InputError
from scripts.transforms import LoadXrayd, RandResizedCropd


@pytest.fixture
def dark(tmp_path: Path) -> Path:
    """An X-ray whose values crowd at the dark end."""
    values = np.random.default_rng(0).exponential(30, (64, 64)).clip(0, 255).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "dark.png")
    return tmp_path / "dark.png"


def test_equalised_values_are_spread_evenly(dark: Path) -> None:
    image = LoadXrayd("image")({"image": str(dark)})["image"]
    assert image.shape == (1, 64, 64) and image.min() == 0 and image.max() == 1
    counts = np.histogram(image.numpy(), 4, (0, 1))[0] / 64**2
    assert np.abs(counts - 0.25).max() < 0.05
    # Pillow's own, which rounds to 8 bits, agrees but for the steps between its levels
    other = np.asarray(ImageOps.equalize(Image.open(dark))) / 255
    assert np.abs(image.numpy()[0] - other).mean() < 0.02


def test_without_equalisation_values_stay(dark: Path) -> None:
    image = LoadXrayd("image", equalise=False)({"image": str(dark)})["image"]
    np.testing.assert_allclose(image.numpy()[0], np.asarray(Image.open(dark)) / 255, atol=1e-6)
    with pytest.raises(InputError, match="equalise is 'false'"):
        LoadXrayd("image", equalise="false")  # type: ignore[arg-type]


def test_a_constant_image_stays_finite(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(tmp_path / "flat.png")
    assert LoadXrayd("image")({"image": str(tmp_path / "flat.png")})["image"].isfinite().all()


def test_crops_have_the_drawn_share_and_ratio() -> None:
    crop = RandResizedCropd("image", (16, 16), scale=(0.08, 0.5))
    crop.set_random_state(seed=0)
    boxes = [crop.draw(300, 200) for _ in range(500)]
    heights, widths = (np.array([b[axis].stop - b[axis].start for b in boxes]) for axis in (0, 1))
    share, ratio = heights * widths / (300 * 200), widths / heights
    assert share.min() >= 0.078 and share.max() <= 0.505 and np.abs(share.mean() - 0.29) < 0.02
    assert ratio.min() >= 0.73 and ratio.max() <= 1.37 and np.abs(np.log(ratio).mean()) < 0.03
    assert min(b[0].start for b in boxes) >= 0 and max(b[0].stop for b in boxes) <= 300


def test_the_whole_image_is_only_resized() -> None:
    ramp = torch.arange(32.0).expand(1, 32, 32)
    done = RandResizedCropd("image", (8, 8), scale=(1.0, 1.0), ratio=(1.0, 1.0))({"image": ramp})["image"]
    assert done.shape == (1, 8, 8)
    torch.testing.assert_close(done[0, 4, 1:-1], ramp.reshape(1, 32, 8, 4).mean(-1)[0, 0, 1:-1], atol=0.1, rtol=0)


def test_no_fitting_crop_falls_back_to_the_middle() -> None:
    rows, columns = RandResizedCropd("image", (8, 8), scale=(1.0, 1.0)).draw(10, 100)
    assert (rows.start, rows.stop) == (0, 10) and columns.stop - columns.start == 13 and columns.start == 43
