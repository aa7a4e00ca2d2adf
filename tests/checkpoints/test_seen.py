import logging

import pytest
import torch

from scripts.checkpoints import all_marks, load_weights, seen_before
from scripts.errors import InputError
from scripts.networks import ResEncUNet

PRETRAINING, SEGMENTATION = {"method": "Spark3D"}, {"task": "segmentation"}
MARKS = {f"mark{number}": f"case{number}" for number in range(5)}


def unet():
    return ResEncUNet(1, 3, features=(4, 6), num_blocks=(1, 1), strides=(1, 2))


@pytest.fixture
def saved(tmp_path):
    """Return a function that writes a checkpoint with a plan."""

    def save(**plan):
        torch.save({"model": unet().state_dict(), "plan": plan}, tmp_path / "model.pt")
        return tmp_path / "model.pt"

    return save


@pytest.mark.parametrize("seen", [1, 3, 5])
def test_scans_that_a_pretraining_took_are_refused_to_it_and_warned_of_later(saved, caplog, seen):
    plan = {"pretrained_on": ["other", *list(MARKS)[:seen]]}
    names = ", ".join(f"case{number}" for number in range(min(seen, 3))) + (", ..." if seen > 3 else "")
    with pytest.raises(
        InputError, match=rf"was pretrained on {seen} of these 5 cases \({names}\): hold out .*--val_fr"
    ):
        load_weights(unet(), saved(**PRETRAINING, **plan), unseen_images=MARKS)
    with caplog.at_level(logging.WARNING):
        load_weights(unet(), saved(**SEGMENTATION, **plan), unseen_images=MARKS)
    assert [f"images, not the labels, of {seen} of these 5 cases ({names})" in text for text in caplog.messages] == [
        True
    ]


@pytest.mark.parametrize("plan", [{}, {"pretrained_on": ["other"]}, {"trained_on": list(MARKS)}])
def test_nothing_is_said_of_new_scans_and_of_files_that_do_not_tell(saved, caplog, plan):
    with caplog.at_level(logging.WARNING):
        for kind in (PRETRAINING, SEGMENTATION):
            load_weights(unet(), saved(**kind, **plan), unseen_images=MARKS)
            load_weights(unet(), saved(**kind, pretrained_on=list(MARKS)))
    assert not caplog.messages


def test_what_a_training_starts_from_has_seen_what_its_plan_tells(saved, tmp_path):
    told = {"trained_on": ["b", "a"], "pretrained_on": ["c"]}
    assert seen_before(saved(**SEGMENTATION, **told)) == {"trained_on": ["a", "b"], "pretrained_on": ["c"]}
    assert seen_before(saved(**SEGMENTATION)) == seen_before(None) == {}
    torch.save(unet().state_dict(), tmp_path / "bare.pt")
    assert seen_before(tmp_path / "bare.pt") == {}


def test_marks_of_several_plans_are_those_of_any():
    plans = [{"trained_on": ["b", "a"]}, {"trained_on": ["c", "a"], "pretrained_on": ["d"]}, {"steps": 4}]
    assert all_marks(*plans) == {"trained_on": ["a", "b", "c"], "pretrained_on": ["d"]}
