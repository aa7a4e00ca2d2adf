import json
from functools import partial

import pytest
import torch
from torch import nn

from benchmarks.transformers import main, saved_bytes


def test_what_is_kept_counts_once_and_without_weights():
    layer = nn.Linear(4, 6, bias=False)
    # the linear map keeps its input (3 x 4), the square its own (3 x 6), float32
    assert saved_bytes(lambda: layer(torch.randn(3, 4)).square().sum()) == 4 * (3 * 4 + 3 * 6)


def test_copies_of_weights_in_half_precision_do_not_count():
    layers = nn.Sequential(*(nn.Linear(32, 32) for _ in range(3)))

    def run(rows):
        with torch.autocast("cpu", torch.bfloat16):
            return layers(torch.randn(rows, 32)).sum()

    # each layer keeps its input, bfloat16
    assert [saved_bytes(partial(run, rows)) for rows in (2, 8)] == [2 * 3 * rows * 32 for rows in (2, 8)]


@pytest.mark.slow
def test_hiding_three_quarters_keeps_about_a_quarter(tmp_path):
    main(str(tmp_path / "found.json"), hidden_size=24, embed_dim=24, repeats=1)
    found = json.loads((tmp_path / "found.json").read_text())
    for name in ("ViT of 24 channels, 96^3", "ViT of 24 channels, 224^2", "nnFormer of embedding 24, 128^3"):
        assert 0.2 < found[name]["memory_for_backward"] < 0.3 and found[name]["times_faster"] > 1
