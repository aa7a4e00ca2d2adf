import torch

from scripts.transforms import ForegroundVoxelsd


def test_voxels_are_of_their_class_and_follow_from_the_label_alone():
    label = torch.zeros(1, 12, 11, 10)
    label[0, 2:9, 3:8, 1:7], label[0, 11, 10, 9] = 2, 5
    noted = ForegroundVoxelsd("label", count=40)({"label": label})["foreground"]
    assert noted.shape == (2, 40, 3)
    for voxels, value in zip(noted, (2, 5), strict=True):
        assert (label[0][tuple(voxels.long().T)] == value).all()
    assert len(noted[0].unique(dim=0)) == 40 and len(noted[1].unique(dim=0)) == 1
    assert torch.equal(ForegroundVoxelsd("label", count=40)({"label": label.clone()})["foreground"], noted)


def test_a_class_with_fewer_voxels_gives_all_of_them_about_equally_often():
    label = torch.zeros(1, 4, 4, 4)
    label[0, 0] = 1
    _, counts = ForegroundVoxelsd("label", count=40)({"label": label})["foreground"][0].unique(
        dim=0, return_counts=True
    )
    assert len(counts) == 16 and counts.min() >= 2 and counts.max() <= 3
