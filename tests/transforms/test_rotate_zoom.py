import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.spatial.transform import Rotation

from scripts.transforms import RandRotateZoomd

SIZE, ROI = (26, 30, 22), (20, 24, 16)
LABELS = (0, 1, 2, 7)


@pytest.fixture(scope="module")
def item():
    """Two channels, and four labels whose places meet in edges and corners."""
    rng = np.random.default_rng(0)
    shares = np.stack([gaussian_filter(rng.standard_normal(SIZE), 3) for _ in LABELS])
    label = np.array(LABELS, np.uint8)[shares.argmax(axis=0)]
    image = rng.standard_normal((2, *SIZE)).astype(np.float32)
    return {"image": MetaTensor(image), "label": MetaTensor(label[None])}


def transform(**settings):
    return RandRotateZoomd(keys=["image", "label"], label_keys="label", roi_size=ROI, **settings)


def by_scipy(channel, moved):
    """The same by another library: for every voxel of the result, where it comes from."""
    matrix = Rotation.from_euler("XYZ", moved.angles).as_matrix() / moved.zoom
    offset = (np.array(SIZE) - 1) / 2 - matrix @ (np.array(ROI) - 1) / 2
    return affine_transform(channel, matrix, offset, ROI, order=1, mode="grid-constant")


@pytest.mark.parametrize("seed", range(6))
def test_it_is_one_linear_interpolation_and_the_label_with_the_largest_share(item, seed):
    moving = transform(max_rotation=40, zoom_range=(0.6, 1.5), prob=1.0)
    moving.set_random_state(seed)
    result = moving(item)
    for found, channel in zip(result["image"], np.asarray(item["image"]), strict=True):
        np.testing.assert_allclose(found, by_scipy(channel, moving), atol=2e-5)
    shares = np.stack([by_scipy((np.asarray(item["label"][0]) == value).astype(float), moving) for value in LABELS])
    shares[0] += 1 - shares.sum(axis=0)  # what comes from outside
    first, second = np.sort(shares, axis=0)[-2:][::-1]
    clear = first - second > 1e-4
    assert clear.mean() > 0.99 and result["label"].dtype == torch.uint8
    np.testing.assert_array_equal(result["label"][0][clear], np.array(LABELS)[shares.argmax(axis=0)][clear])


def test_undrawn_it_only_crops(item):
    result = transform(prob=0.0)(item)
    for key in item:
        np.testing.assert_array_equal(result[key], item[key][:, 3:23, 3:27, 3:19])


def test_rotation_and_scaling_are_drawn_each_for_itself_and_within_their_ranges():
    drawing = transform(max_rotation=15, zoom_range=(0.8, 1.2), prob=0.3)
    drawing.set_random_state(0)
    drawn = []
    for _ in range(4000):
        drawing.randomize()
        drawn.append((*drawing.angles, drawing.zoom))
    rotated, zoomed = np.any(np.array(drawn)[:, :3] != 0, axis=1), np.array(drawn)[:, 3] != 1
    for share, expected in ((rotated.mean(), 0.3), (zoomed.mean(), 0.3), ((rotated & zoomed).mean(), 0.09)):
        assert abs(share - expected) < 0.03
    angles, zooms = np.degrees(np.abs(np.array(drawn)[rotated, :3])), np.array(drawn)[zoomed, 3]
    assert 14 < angles.max() <= 15 and 0.8 <= zooms.min() < 0.81 and 1.19 < zooms.max() <= 1.2


def test_axes_may_turn_by_different_amounts():
    drawing = transform(max_rotation=(0, 15, 5), prob=1.0)
    drawing.set_random_state(0)
    drawn = []
    for _ in range(1000):
        drawing.randomize()
        drawn.append(np.degrees(np.abs(drawing.angles)))
    np.testing.assert_allclose(np.max(drawn, axis=0), (0, 15, 5), rtol=0.01)


def test_a_seed_gives_the_same_again(item):
    results = []
    for _ in range(2):
        moving = transform(prob=1.0)
        moving.set_random_state(3)
        results.append(moving(item))
    assert all(torch.equal(results[0][key], results[1][key]) for key in item)


@pytest.mark.parametrize(("roi", "thin"), [((24, 24, 6), True), ((6, 20, 18), True), ((18, 18, 6), False)])
def test_a_thin_patch_stays_in_its_plane(roi, thin):
    size = [int(1.25 * n) for n in roi]
    axis = int(np.argmin(roi))
    slices = torch.arange(size[axis]).float().view([-1 if n == axis else 1 for n in range(3)]).expand(size)
    moving = RandRotateZoomd("image", [], roi, max_rotation=30, zoom_range=(0.9, 1.1), prob=1.0)
    moving.set_random_state(0)
    found = moving({"image": MetaTensor(slices[None].clone() + 1)})["image"][0].movedim(axis, 0)
    rows, columns = (slice(n // 4, 3 * n // 4) for n in found.shape[1:])
    inner = found[:, rows, columns]
    stays = all(torch.allclose(part, part.flatten()[0].expand_as(part), atol=1e-4) for part in inner)
    assert stays == thin
    if thin:
        assert inner[:, 0, 0].diff().allclose(torch.ones(roi[axis] - 1), atol=1e-4)


@pytest.mark.parametrize("roi", [(24, 24, 5), (24, 24, 6), (24, 24, 7), (160, 160, 14)])
def test_slices_of_a_thin_patch_stay_whole(roi):
    """Also where an odd number is cut off, after which the middles of patch and result lie between voxels."""
    size = [int(1.25 * n) for n in roi]
    slices = torch.arange(size[2]).expand(1, *size)
    item = {"image": MetaTensor(slices % 2).float(), "label": MetaTensor(slices)}
    moving = RandRotateZoomd(item, "label", roi, prob=1.0)
    moving.set_random_state(0)
    expected, found = moving.crop(item), moving(item)
    middle = (0, roi[0] // 2, roi[1] // 2)
    assert torch.equal(found["label"][middle], expected["label"][middle].as_tensor())
    torch.testing.assert_close(found["image"][middle], expected["image"][middle].as_tensor(), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("factor", "share", "emptiness"), [(1.25, 0.2, 0.03), (1.75, 0.01, 0.005)])
def test_how_often_and_how_much_a_patch_is_empty_where_the_scan_goes_on(factor, share, emptiness):
    """The figures in the text of the knob `crop_size`."""
    roi = (32, 32, 32)
    scan = {"image": MetaTensor(torch.ones(1, *(int(factor * n) for n in roi)))}
    moving = RandRotateZoomd("image", [], roi)
    moving.set_random_state(0)
    empty = np.array([float((moving(scan)["image"] < 1e-6).float().mean()) for _ in range(1000)])
    assert (empty > 0).mean() == pytest.approx(share, abs=0.02)
    assert empty[empty > 0].mean() == pytest.approx(emptiness, abs=0.01)


def test_little_of_a_thin_patch_is_empty():
    roi = (160, 160, 14)
    moving = RandRotateZoomd("image", [], roi, zoom_range=(1, 1), prob=1.0)
    moving.set_random_state(0)
    image = MetaTensor(torch.ones(1, *(int(1.25 * n) for n in roi)))
    assert np.mean([float((moving({"image": image})["image"] == 0).float().mean()) for _ in range(5)]) < 0.05
