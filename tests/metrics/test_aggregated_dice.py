import pytest
import torch
from monai.metrics import compute_dice

from scripts.metrics import AggregatedDice

CLASSES = {"background": 0, "one": 1, "two": 2, "both": [1, 2], "never": 3}


def test_it_is_the_dice_of_all_cases_laid_side_by_side():
    torch.manual_seed(0)
    pairs = [torch.randint(0, 3, (2, 6, 5, 4)) * torch.randint(0, 2, (1,)) for _ in range(6)]
    aggregated = AggregatedDice(CLASSES)
    for prediction, reference in pairs:
        aggregated.add(prediction, reference, 0.25)
    predictions, references = torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])
    result = aggregated.result()
    for name, values in (("one", [1]), ("two", [2]), ("both", [1, 2])):
        masks = (torch.isin(side, torch.tensor(values))[None, None] for side in (predictions, references))
        assert result[name] == pytest.approx(float(compute_dice(*masks)))
    assert result["never"] is None and "background" not in result
    assert result["mean"] == pytest.approx((result["one"] + result["two"] + result["both"]) / 3)
    assert aggregated.result(["two"])["mean"] == result["two"]


def test_large_voxels_count_more_and_empty_masks_only_where_something_is_invented():
    full, empty = torch.ones(2, 2, 2), torch.zeros(2, 2, 2)
    aggregated = AggregatedDice({"one": 1})
    aggregated.add(full, full, 3.0)
    aggregated.add(empty, empty, 1.0)
    assert aggregated.result()["one"] == 1
    aggregated.add(full, empty, 1.0)
    assert aggregated.result()["one"] == pytest.approx(2 * 24 / (48 + 8))
    aggregated.reset()
    assert aggregated.result() == {"one": None, "mean": None}
