import math
from itertools import permutations, product

import numpy as np
import pytest

from scripts.metrics import lesion_scores, lesions_of
from scripts.metrics.lesions import MIN_IOU

STEPS = [step for step in product((-1, 0, 1), repeat=3) if any(step)]


def components(mask):
    """Sets of voxels that hang together by faces, edges or corners, by walking from voxel to voxel."""
    left, found = set(map(tuple, np.argwhere(mask).tolist())), []
    while left:
        front = [left.pop()]
        component = set(front)
        while front:
            voxel = front.pop()
            near = {tuple(np.add(voxel, step).tolist()) for step in STEPS} & left
            left -= near
            component |= near
            front += near
        found.append(component)
    return found


def best_pairs(predicted, true):
    """IoU of each pair of the best assignment, by trying every one."""
    a, b = sorted((components(predicted), components(true)), key=len)
    iou = [[len(x & y) / len(x | y) for y in b] for x in a]
    iou = [[value if value >= MIN_IOU else 0 for value in row] for row in iou]
    tries = [[iou[x][y] for x, y in enumerate(order)] for order in permutations(range(len(b)), len(a))]
    return sorted(value for value in max(tries, key=sum) if value)


@pytest.mark.parametrize("seed", range(6))
def test_lesions_and_pairs_equal_walking_and_trying(seed):
    rng = np.random.default_rng(seed)
    true, predicted = np.zeros((2, 14, 12, 10), bool)
    for _ in range(6):
        x, y, z = rng.integers(0, (11, 9, 7))
        true[x : x + 3, y : y + 2, z : z + 3] = True
        x, y, z = np.maximum((x, y, z) + rng.integers(-2, 3, 3), 0)
        predicted[x : x + 2, y : y + 3, z : z + 3] = True
    lesions = lesions_of(predicted, true, 0.5)
    for kind, mask in (("true", true), ("predicted", predicted)):
        volumes = sorted(lesion["volume_mm3"] for lesion in lesions if lesion["kind"] == kind)
        assert volumes == sorted(0.5 * len(component) for component in components(mask))
    pairs = best_pairs(predicted, true)
    assert sorted(row["iou"] for row in lesions if row["kind"] == "true" and row["paired"]) == pytest.approx(pairs)
    scores = lesion_scores(lesions)
    assert scores["lesion_precision"] == len(pairs) / len(components(predicted))
    assert scores["lesion_recall"] == len(pairs) / len(components(true))
    p, r = scores["lesion_precision"], scores["lesion_recall"]
    assert scores["lesion_f1"] == pytest.approx(2 * p * r / (p + r) if pairs else 0)


def test_corners_connect_and_one_blob_pairs_with_one_lesion_only():
    true = np.zeros((8, 8, 8), bool)
    true[1, 1, 1] = true[2, 2, 2] = True
    true[5:7, 5:7, 5:7] = True
    scores = lesion_scores(lesions_of(np.ones_like(true), true, 1.0))
    assert (scores["lesions_true"], scores["lesions_predicted"], scores["lesions_paired"]) == (2, 1, 0)
    blob = np.zeros_like(true)
    blob[1:7, 1:7, 1:7] = True  # holds both, and the larger is 8 / 216 of it
    assert lesion_scores(lesions_of(blob, true, 1.0))["lesion_recall"] == 0
    both = true.copy()
    both[3, 3, 3] = both[4, 4, 4] = True  # a bridge makes one lesion of two
    assert lesion_scores(lesions_of(both, true, 1.0))["lesion_recall"] == 0.5


def test_rules_for_empty_masks():
    empty, one = np.zeros((4, 4, 4), bool), np.ones((4, 4, 4), bool)
    names = ("lesion_precision", "lesion_recall", "lesion_f1")
    neither, missed, invented = (
        [lesion_scores(lesions_of(*pair, 1.0))[name] for name in names]
        for pair in ((empty, empty), (empty, one), (one, empty))
    )
    assert all(map(math.isnan, neither))
    assert math.isnan(missed[0]) and missed[1:] == [0, 0]
    assert invented[0] == invented[2] == 0 and math.isnan(invented[1])
