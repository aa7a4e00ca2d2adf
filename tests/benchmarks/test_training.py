import json

import pytest

from benchmarks import training


@pytest.mark.slow
def test_each_step_hides_other_cells_in_both_forms(tmp_path, monkeypatch):
    hidden = {"auto": [], "dense": []}
    forward = training.Spark3D.forward

    def noted(self, image, mask):
        hidden[self.execution].append(mask)
        return forward(self, image, mask)

    monkeypatch.setattr(training.Spark3D, "forward", noted)
    training.main(str(tmp_path / "found.json"), size=64, width=1 / 32, batch_size=2, steps=2, repeats=1)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["steps"] == 2 and found["seconds"] > 0 and found["times_faster"] > 0
    for masks in hidden.values():  # two rounds, the first of which does not count
        assert len(masks) == 4
        assert len({tuple(mask.flatten().tolist()) for mask in masks}) == 4
        counts = [set(mask.flatten(1).sum(dim=1).tolist()) for mask in masks]  # of 8 cells, the same in both patches
        assert all(count in ({4}, {5}, {6}, {7}) for count in counts)
